"""Changes, deaths and upgrades under a running download and a numbered UDP stream."""
import signal
import unittest

from lib import runner, scenario
from lib.lab import Lab
from lib.streams import Downloads, UdpStream, make_file, percentile

EVENTS = 20


class FaultsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = Lab().__enter__()
        cls.addClassCleanup(cls.lab.close)
        files = cls.lab.directory / "files"
        files.mkdir()
        cls.sha256 = make_file(files / "file", 256 << 20)
        cls.lab.start_daemon()
        scenario.build(cls.lab, files)

    def under_traffic(self, name, count, event):
        """Asserts that nothing breaks; returns the number of datagrams that never came back."""
        url = f"http://{scenario.ADDRESS[scenario.WEB][0]}/file"
        downloads = Downloads(self.lab, url, self.sha256)
        with UdpStream(self.lab, scenario.ADDRESS[scenario.ECHO][0]) as stream, downloads:
            marks = scenario.repeat(stream, count, event, name)
        pauses = [m["pause_us"] / 1e3 for m in marks]
        missing = sum(m["missing"] for m in marks)
        print(f"{count} x {name}: pause p50 {percentile(pauses, .5):.2f} p99 {percentile(pauses, .99):.2f} max "
              f"{max(pauses):.2f} ms, missing {missing} of {sum(m['sent'] for m in marks)}, duplicates "
              f"{sum(m['duplicates'] for m in marks)}, downloads {downloads.completed}", flush=True)
        self.assertEqual(downloads.failures, [], self.lab.log() + self.lab.domain_logs())
        self.assertGreater(downloads.completed, 0)
        return missing

    def test_mode_changes(self):
        def change(i):
            for guest in (scenario.WEB, scenario.ECHO):
                scenario.set_mode(self.lab, guest, "server" if i % 2 else "direct")
        self.assertEqual(self.under_traffic("mode change", 2 * EVENTS, change), 0)

    def test_server_kills(self):
        self.under_traffic("server kill", EVENTS, lambda i: scenario.replace_server(self.lab))

    def test_server_hangs(self):
        self.under_traffic("server hang", EVENTS, lambda i: scenario.replace_server(self.lab, signal.SIGSTOP))

    def test_upgrades(self):
        self.assertEqual(self.under_traffic("upgrade", EVENTS, lambda i: scenario.upgrade(self.lab, self.lab.server_image)), 0)

    def test_upgrades_to_a_server_that_never_becomes_healthy(self):
        unhealthy = self.lab.binary("netserver/unhealthy_server")

        def upgrade(_):
            before = scenario.server_status(self.lab)
            done = scenario.upgrade(self.lab, unhealthy, check=False, health_timeout="300ms")
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("healthy", done.stderr)
            self.assertEqual(scenario.server_status(self.lab)["activePid"], before["activePid"])
        self.assertEqual(self.under_traffic("failing upgrade", 3, upgrade), 0)

    def test_daemon_kills(self):
        self.assertEqual(self.under_traffic("daemon kill", EVENTS, lambda i: scenario.restart_daemon(self.lab)), 0)


if __name__ == "__main__":
    runner.main()
