"""A server whose standby has a NIC of its own is killed and upgraded under a download and a numbered UDP stream."""
import unittest

from lib import runner, scenario
from lib.lab import Lab
from lib.streams import Downloads, UdpStream, percentile

EVENTS = 10
SHARED = "10.77.0.2"


class StandbyNicTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = lab = Lab().__enter__()
        cls.addClassCleanup(lab.close)
        cls.sha256 = lab.make_file("file", 64)
        lab.start_daemon()
        scenario.create_nics(lab, "wire0", "spare0")
        lab.ctl("server", "create", scenario.SERVER, "--nic", "wire0", "--standby-nic", "spare0", "--shared", f"{SHARED}/24")
        for name, program in ((scenario.WEB, ["--files", str(lab.files), "--", "http"]), (scenario.ECHO, ["--", "echo"])):
            ipv4, ipv6 = scenario.ADDRESS[name]
            lab.ctl("guest", "create", name, "--server", scenario.SERVER, "--address", f"{ipv4}/24", "--address", f"{ipv6}/64",
                    *program)
        scenario.standby_ready(lab)

    def mac(self, address):
        self.lab.client("ping", "-c", "1", "-W", "2", address)
        neighbour = self.lab.client("ip", "neigh", "show", address).stdout.split()
        return neighbour[neighbour.index("lladdr") + 1]

    def port(self, mac):
        """The bridge's port behind which it has learned `mac`."""
        table = self.lab.client("bridge", "fdb", "show", "br", "br0", host="wire").stdout
        ports = [line.split()[2] for line in table.splitlines() if line.startswith(mac) and "permanent" not in line]
        self.assertEqual(len(ports), 1, table)
        return ports[0]

    def under_traffic(self, name, event):
        downloads = Downloads(self.lab, f"http://{scenario.ADDRESS[scenario.WEB][0]}/file", self.sha256)
        with UdpStream(self.lab, scenario.ADDRESS[scenario.ECHO][0]) as stream, downloads:
            marks = scenario.repeat(stream, EVENTS, event, name)
        pauses = [m["pause_us"] / 1e3 for m in marks]
        print(f"{EVENTS} x {name}: pause p50 {percentile(pauses, .5):.2f} max {max(pauses):.2f} ms, missing "
              f"{sum(m['missing'] for m in marks)} of {sum(m['sent'] for m in marks)}, downloads {downloads.completed}",
              flush=True)
        self.assertEqual(downloads.failures, [], self.lab.log() + self.lab.domain_logs())
        self.assertGreater(downloads.completed, 0)

    def test_kills_swap_the_nics_and_break_nothing(self):
        mac = self.mac(SHARED)
        ports = [self.port(mac)]

        def kill(_):
            scenario.replace_server(self.lab)
            ports.append(self.port(mac))
        self.under_traffic("server kill", kill)
        self.assertEqual({*ports}, {"wire0", "spare0"})
        for before, after in zip(ports, ports[1:]):
            self.assertNotEqual(before, after, ports)

    def test_upgrades_swap_the_nics_and_break_nothing(self):
        mac = self.mac(SHARED)
        before = self.port(mac)
        self.under_traffic("upgrade", lambda _: scenario.upgrade(self.lab, self.lab.server_image))
        self.assertEqual(self.port(mac), before, "an even number of swaps")

    def test_the_segment_is_told_of_every_address(self):
        macs = [self.mac(address) for address in (SHARED, scenario.ADDRESS[scenario.WEB][0], scenario.ADDRESS[scenario.ECHO][0])]
        before = {self.port(mac) for mac in macs}
        self.assertEqual(len(before), 1)
        scenario.replace_server(self.lab)
        # Nobody has sent anything since, but the server for them.
        after = {self.port(mac) for mac in macs}
        self.assertEqual(len(after), 1)
        self.assertNotEqual(after, before)


if __name__ == "__main__":
    runner.main()
