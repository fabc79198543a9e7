"""Creating and deleting leaves nothing behind."""
import contextlib
import json
import os
import pathlib
import random
import time
import unittest

from lib import runner, scenario
from lib.lab import Lab, run

CYCLES = 100
KEPT_LOGS = 100  # Of ended domains: kMaxEndedLogs.


class LifecycleTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.lab = Lab().__enter__()
        self.addCleanup(self.lab.close)
        self.lab.start_daemon()
        files = self.lab.directory / "files"
        files.mkdir()
        scenario.build(self.lab, files)

    def resources(self):
        """Descriptors, threads and namespaces of the daemon and the server; resident memory apart."""
        server = scenario.server_status(self.lab)
        found = {}
        for name, pid in (("daemon", self.lab.daemon.pid), ("server", server["activePid"]), ("standby", server["standbyPid"])):
            found[f"{name} descriptors"] = len(os.listdir(f"/proc/{pid}/fd"))
            found[f"{name} maps"] = sum("memfd" in line for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines())
        found["mounts"] = len(pathlib.Path("/proc/self/mounts").read_text().splitlines())
        statistics = json.loads(self.lab.ctl("-o", "json", "stats", "daemon").stdout)
        found |= {f"daemon's {name}": int(count) for name, count in statistics["resources"][0]["counters"].items()}
        domains = self.domains()
        found["processes"] = len(domains)
        found["namespaces"] = len({space for pid in domains for space in self.namespaces(pid)})
        found["named namespaces"] = sorted(path.name for path in pathlib.Path("/run/netns").glob(f"lbr-{self.lab.tag}-*"))
        found["interfaces"] = sorted(link["ifname"] for link in json.loads(
            run("ip", "-n", self.lab.namespace("wire"), "-j", "link").stdout))
        found["files"] = sorted(str(path.relative_to(self.lab.directory)) for path in self.lab.directory.rglob("*")
                                if path.is_file() and "log/" not in str(path.relative_to(self.lab.directory)))
        return found

    def domains(self):
        """Processes that run an image of this lab, whoever knows of them."""
        images = {str(self.lab.server_image).encode(), str(self.lab.guest_image).encode()}
        pids = []
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if path.read_bytes().split(b"\0")[0] in images:
                    pids.append(int(path.parent.name))
        return pids

    @staticmethod
    def namespaces(pid):
        with contextlib.suppress(OSError):
            return {os.readlink(path) for path in pathlib.Path(f"/proc/{pid}/ns").iterdir()}
        return set()

    def resident_kib(self):
        for line in pathlib.Path(f"/proc/{self.lab.daemon.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1])

    def cycle(self, count, seed):
        choose = random.Random(seed)
        alive = []
        for i in range(count):
            name = f"g{i}"
            self.lab.ctl("guest", "create", name, "--server", scenario.SERVER, "--address", f"10.77.0.{100 + i % 100}/24",
                         *(["--no-wait"] if choose.random() < 0.5 else []), "--", "echo")
            alive.append(name)
            while alive and (choose.random() < 0.4 or len(alive) > 8):
                self.lab.ctl("guest", "delete", alive.pop(choose.randrange(len(alive))))
        for name in alive:
            self.lab.ctl("guest", "delete", name)

    def test_cycles_leave_nothing(self):
        self.cycle(20, 1)  # Warms up allocators and pools.
        expected, memory = self.resources(), self.resident_kib()
        self.cycle(CYCLES, 2)
        deadline = time.monotonic() + 5  # The last domains are still ending.
        while self.resources() != expected and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(self.resources(), expected)
        running, logs = len(self.domains()), len(list(self.lab.directory.glob("log/*.log")))
        self.assertLessEqual(logs, running + KEPT_LOGS)
        self.assertLess(self.resident_kib() - memory, 8192, "the daemon grew")

    def test_close_removes_everything(self):
        self.lab.close()
        self.assertFalse(self.lab.directory.exists())
        self.assertEqual(list(pathlib.Path("/run/netns").glob(f"lbr-{self.lab.tag}-*")), [])


if __name__ == "__main__":
    runner.main()
