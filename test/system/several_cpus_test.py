"""Servers with several forwarding loops, and guests whose program runs beside its stack."""
import pathlib
import re
import unittest

from lib import runner, scenario
from lib.lab import Lab
from lib.streams import Downloads, UdpStream

SHARED = "10.77.0.2"


class SeveralCpusTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = Lab().__enter__()
        cls.addClassCleanup(cls.lab.close)
        cls.sha256 = cls.lab.make_file("file", 256)
        cls.files = cls.lab.files
        (cls.files / "small").write_bytes(b"x" * 1000)
        cls.lab.start_daemon()
        scenario.create_nics(cls.lab, "wire0", "wire1", "wire2")
        cls.lab.ctl("server", "create", scenario.SERVER, "--nic", "wire0", "--vcpus", "2", "--shared", f"{SHARED}/24")
        cls.guest("web", 11, "--queue-pairs", "2", "--vcpus", "2", "--files", str(cls.files), "--", "http")
        cls.guest("echo", 12, "--queue-pairs", "2", "--vcpus", "2", "--", "echo")
        cls.guest("web1", 13, "--files", str(cls.files), "--", "http")
        scenario.standby_ready(cls.lab)

    @classmethod
    def guest(cls, name, number, *arguments):
        cls.lab.ctl("guest", "create", name, "--server", scenario.SERVER, "--address", f"10.77.0.{number}/24",
                    "--address", f"fd77::{number:x}/64", *arguments)

    def threads(self, pid):
        return [path.name for path in pathlib.Path(f"/proc/{pid}/task").iterdir()]

    def run_time(self, pid, thread):
        """Seconds that a thread has run."""
        return int(pathlib.Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0]) / 1e9

    def download(self, *hosts):
        for host in hosts:
            done = self.lab.client("sh", "-c", f"curl -sS --fail --max-time 120 'http://{host}/file' | sha256sum")
            self.assertEqual(done.stdout.split()[0], self.sha256, host)

    def test_each_cpu_is_used(self):
        server = scenario.server_status(self.lab)["activePid"]
        web = self.lab.describe("guest", "web")["status"]["pid"]
        before = {(pid, thread): self.run_time(pid, thread) for pid in (server, web) for thread in self.threads(pid)}
        self.assertEqual(len(before), 4)
        self.download("10.77.0.11", "[fd77::b]")
        for (pid, thread), seconds in before.items():
            self.assertGreater(self.run_time(pid, thread), seconds + 0.001, f"thread {thread} of {pid}")

    def test_one_cpu_beside(self):
        self.download("10.77.0.13", "[fd77::d]")
        self.assertEqual(len(self.threads(self.lab.describe("guest", "web1")["status"]["pid"])), 1)

    def test_wrk_50_connections(self):
        done = self.lab.client("wrk", "-c", "50", "-t", "1", "-d", "3s", "http://10.77.0.11/small")
        self.assertNotIn("Socket errors", done.stdout)
        self.assertNotIn("Non-2xx", done.stdout)
        self.assertGreater(int(re.search(r"(\d+) requests in", done.stdout)[1]), 50)

    def test_iperf(self):
        self.guest("sink", 14, "--vcpus", "2", "--", "iperf", "-s")
        self.addCleanup(self.lab.ctl, "guest", "delete", "sink")
        for options in (["-P", "4"], ["-u", "-b", "20M"]):
            done = self.lab.client("iperf", "-c", "10.77.0.14", "-t", "2", *options)
            self.assertIn("bits/sec", done.stdout, done.stderr)
        self.guest("source", 15, "--vcpus", "2", "--restart", "never", "--no-wait", "--", "iperf", "-c", "10.77.0.14", "-t", "2")
        self.addCleanup(self.lab.ctl, "guest", "delete", "source")
        guest = self.lab.wait_until("the client guest has ended", lambda: (g := self.lab.describe("guest", "source"))
                                    ["status"]["state"] == "STOPPED" and g)
        self.assertIn("status 0", guest["status"]["lastExit"], self.lab.domain_logs())

    def test_shared_address(self):
        for name, port in (("a", 8080), ("b", 8081)):
            self.lab.ctl("guest", "create", f"shared-{name}", "--server", scenario.SERVER, "--vcpus", "2", "--queue-pairs", "2",
                         "--files", str(self.files), "--", "http", "--port", str(port))
            self.addCleanup(self.lab.ctl, "guest", "delete", f"shared-{name}")
        self.download(f"{SHARED}:8080", f"{SHARED}:8081")

    def test_changes_and_deaths_under_traffic(self):
        scenario.standby_ready(self.lab)
        downloads = Downloads(self.lab, "http://10.77.0.11/file", self.sha256, limit_rate="100M")
        with UdpStream(self.lab, "10.77.0.12") as stream, downloads:
            for mode in ("direct", "server") * 3:
                for guest in ("web", "echo"):
                    scenario.set_mode(self.lab, guest, mode)
            mark = stream.mark()
            self.assertEqual(mark["missing"], 0, mark)
            for number in range(5):
                scenario.replace_server(self.lab)
                self.guest(f"passing{number}", 20 + number, "--", "echo")
                self.lab.ctl("guest", "delete", f"passing{number}")
            scenario.upgrade(self.lab, self.lab.binary("netserver/server"))
        self.assertEqual(downloads.failures, [], self.lab.log() + self.lab.domain_logs())
        self.assertEqual(len(self.threads(scenario.server_status(self.lab)["activePid"])), 2)


if __name__ == "__main__":
    runner.main()
