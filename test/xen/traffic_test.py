"""On Xen, with NICs passed through: ordinary traffic with real clients, and statistics that agree with what they counted."""
import json
import re

from lib import runner, scenario
from lib.streams import UdpStream
from xen.case import XenTestCase

SHARED = ("10.77.0.2", "fd77::2")
# Frames beside those of a test: neighbour discovery of both IP versions.
BESIDE = 20


class XenTrafficTest(XenTestCase):
    @classmethod
    def prepare(cls):
        cls.sha256 = cls.lab.make_file("file", cls.lab.file_mib)
        cls.lab.start_daemon()
        scenario.build(cls.lab, cls.lab.files, "--shared", f"{SHARED[0]}/24", "--shared", f"{SHARED[1]}/64")

    def guest(self, name, *arguments):
        self.lab.ctl("guest", "create", name, "--server", scenario.SERVER, *arguments)
        self.addCleanup(self.lab.ctl, "guest", "delete", name, check=False)

    def rate(self, text):
        rates = re.findall(r"([\d.]+) ([KMG]?)bits/sec", text)
        self.assertTrue(rates, text)
        return float(rates[-1][0]) * {"": 1, "K": 1e3, "M": 1e6, "G": 1e9}[rates[-1][1]]

    def test_download_with_the_right_sum(self):
        for address in scenario.ADDRESS[scenario.WEB]:
            host = f"[{address}]" if ":" in address else address
            done = self.lab.client("sh", "-c", f"curl -sS --fail 'http://{host}/file' | sha256sum")
            self.assertEqual(done.stdout.split()[0], self.sha256, host)

    def test_ping(self):
        for address in scenario.ADDRESS[scenario.WEB] + SHARED:
            for size in (56, 4000) if address not in SHARED else (56,):
                done = self.lab.client("ping", "-c", "5", "-i", "0.2", "-W", "5", "-s", size, address, check=False)
                self.assertIn(" 0% packet loss", done.stdout, f"{address}: {done.stdout}{done.stderr}")

    def test_iperf(self):
        self.guest("sink", "--address", "10.77.0.13/24", "--", "iperf", "-s")
        done = self.lab.client("iperf", "-c", "10.77.0.13", "-t", "3", "-f", "m")
        self.assertGreater(self.rate(done.stdout), 1e5, done.stdout)

    def test_guest_to_guest(self):
        self.guest("sink2", "--address", "10.77.0.15/24", "--", "iperf", "-s")
        self.guest("source2", "--address", "10.77.0.16/24", "--restart", "never", "--no-wait", "--",
                   "iperf", "-c", "10.77.0.15", "-t", "3")
        guest = self.lab.wait_until("the client guest has ended", lambda: (g := self.lab.describe("guest", "source2"))
                                    ["status"]["state"] == "STOPPED" and g)
        self.assertIn("status 0", guest["status"]["lastExit"])
        # It did not take the way over the wire.
        self.assertGreater(self.counters("servers/net0", "guests/sink2")["local_frames"], 50)

    def test_shared_address_by_port_leases(self):
        for name, port in (("web-a", 8080), ("web-b", 8081)):
            self.guest(name, "--restart", "never", "--files", str(self.lab.files), "--", "http", "--port", str(port))
        for address in SHARED:
            host = f"[{address}]" if ":" in address else address
            for port in (8080, 8081):
                done = self.lab.client("sh", "-c", f"curl -sS --fail 'http://{host}:{port}/file' | sha256sum")
                self.assertEqual(done.stdout.split()[0], self.sha256, f"{host}:{port}")

    def counters(self, name, peer):
        reply = json.loads(self.lab.ctl("-o", "json", "stats", name).stdout)
        row, = [r for r in reply["resources"] if r["peer"] == peer]
        return {k: int(v) for k, v in row["counters"].items()}

    def test_statistics_agree_with_the_client(self):
        peer = f"guests/{scenario.ECHO}"
        before = self.counters(f"servers/{scenario.SERVER}", peer)
        with UdpStream(self.lab, scenario.ADDRESS[scenario.ECHO][0]) as stream:
            self.lab.client("sleep", "3")
            mark = stream.mark()
        after = self.counters(f"servers/{scenario.SERVER}", peer)
        self.assertEqual(mark["missing"], 0)
        for counter in ("rx_frames", "tx_frames"):
            counted = after[counter] - before[counter]
            self.assertGreaterEqual(counted, mark["sent"], counter)
            # Besides: what the stream sent before its first and after its last mark.
            self.assertLess(counted, mark["sent"] + self.lab.udp_rate + BESIDE, counter)


if __name__ == "__main__":
    runner.main()
