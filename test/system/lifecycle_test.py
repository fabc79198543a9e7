"""Creating and deleting leaves nothing behind."""
import os
import pathlib
import random
import time
import unittest

from lib import runner, scenario
from lib.lab import Lab

CYCLES = 100


class LifecycleTest(unittest.TestCase):
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
        found["domains"] = len(list(self.lab.directory.glob("run/domains/*.json")))
        found["mounts"] = len(pathlib.Path("/proc/self/mounts").read_text().splitlines())
        return found

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
        self.assertLess(self.resident_kib() - memory, 8192, "the daemon grew")

    def test_close_removes_everything(self):
        self.lab.close()
        self.assertFalse(self.lab.directory.exists())
        self.assertEqual(list(pathlib.Path("/run/netns").glob(f"lbr-{self.lab.tag}-*")), [])


if __name__ == "__main__":
    runner.main()
