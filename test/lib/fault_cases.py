"""Changes, deaths and upgrades under a running download and a numbered UDP stream, in either lab.

A test class derives from FaultCases, has made `lab` with scenario.build, and `sha256` of the file /file of the web guest.
LIBRETTOS_EVENTS in the environment sets how often each thing happens.
"""
import signal

from lib import scenario
from lib.streams import Downloads, UdpStream, percentile


class FaultCases:
    host = "client"  # That downloads.

    def events(self, _kind):
        return self.lab.events

    def wait(self):
        """Before each event."""

    def under_traffic(self, name, count, event):
        """Asserts that nothing breaks; returns the number of datagrams that never came back."""
        url = f"http://{scenario.ADDRESS[scenario.WEB][0]}/file"
        downloads = Downloads(self.lab, url, self.sha256, host=self.host)

        def next_event(i):
            self.wait()
            return event(i)
        with UdpStream(self.lab, scenario.ADDRESS[scenario.ECHO][0]) as stream, downloads:
            marks = scenario.repeat(stream, count, next_event, name)
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
        self.assertEqual(self.under_traffic("mode change", 2 * self.events("mode change"), change), 0)

    def test_server_kills(self):
        self.under_traffic("server kill", self.events("server kill"), lambda i: scenario.replace_server(self.lab))

    def test_server_hangs(self):
        self.under_traffic("server hang", self.events("server hang"), lambda i: scenario.replace_server(self.lab, signal.SIGSTOP))

    def test_upgrades(self):
        missing = self.under_traffic("upgrade", self.events("upgrade"), lambda i: scenario.upgrade(self.lab, self.lab.server_image))
        if self.lab.upgrade_keeps_all:
            self.assertEqual(missing, 0)

    def test_daemon_kills(self):
        self.assertEqual(self.under_traffic("daemon kill", self.events("daemon kill"), lambda i: scenario.restart_daemon(self.lab)), 0)
