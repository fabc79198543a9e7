"""On Xen: a guest does its worst (test/tools/hostile.cc); the server and the daemon stay up, a neighbour is served, and the reason is seen."""
import json

from lib import runner, scenario
from xen.case import XenTestCase

IMAGE = "test/tools/hostile_image.elf"
HOSTILE, ADDRESS, MAC = "hostile", "10.77.0.13", "02:00:00:00:00:bd"
GROWTH_KIB = 32 << 10  # What the daemon, or xenstored, may take more at the end.


class XenHostileTest(XenTestCase):
    @classmethod
    def prepare(cls):
        lab = cls.lab
        cls.sha256 = lab.make_file("file", 4)
        cls.image = lab.files.parent / "hostile.elf"
        lab.put(lab.binary(IMAGE), cls.image)
        lab.start_daemon()
        scenario.build(lab, lab.files)
        cls.resident = cls.memory()
        cls.server = scenario.server_status(lab)
        cls.daemon = cls.daemon_pid()

    @classmethod
    def daemon_pid(cls):
        return cls.lab.dom0("systemctl show -P MainPID librettosd").stdout.strip()

    @classmethod
    def memory(cls):
        """KiB of each program of domain 0 that a guest can keep busy."""
        lines = cls.lab.dom0("ps -A -o comm=,rss= | grep -E '^(librettosd|o?xenstored) '").stdout.splitlines()
        return {name: int(kib) for name, kib in map(str.split, lines)}

    def begins(self, mode):
        """The hostile guest is there, has a channel, and has begun."""
        neighbour = scenario.ADDRESS[scenario.WEB][0]
        other = ["".join(f"{int(part):02x}" for part in ip.split(".")) for ip in (ADDRESS, neighbour)]
        web = self.lab.describe("guest", scenario.WEB)["status"]["mac"].replace(":", "")
        self.lab.ctl("guest", "create", HOSTILE, "--server", scenario.SERVER, "--image", str(self.image), "--restart", "never",
                     "--no-wait", "--address", f"{ADDRESS}/24", "--mac", MAC, "--", mode, MAC.replace(":", ""), other[0], web, other[1])
        self.addCleanup(self.lab.ctl, "guest", "delete", HOSTILE, check=False)
        self.said("begins")

    def said(self, words):
        log = "cat $(ls -t /var/log/xen/console/guest-guests-hostile-*.log | head -1)"
        self.lab.wait_until(f"the hostile guest {words}", lambda: f"hostile: {words}" in self.lab.dom0(log, check=False).stdout)

    def message(self):
        return self.lab.describe("guest", HOSTILE)["status"].get("message", "")

    def counter(self, name):
        rows = json.loads(self.lab.ctl("-o", "json", "stats", f"servers/{scenario.SERVER}").stdout)["resources"]
        row, = [row for row in rows if row.get("peer") == f"guests/{HOSTILE}"]
        return int({**row.get("counters", {}), **row.get("drops", {})}.get(name, 0))

    def others_are_served(self):
        """A neighbour's download is right; nothing was replaced, nothing has grown."""
        url = f"http://{scenario.ADDRESS[scenario.WEB][0]}/file"
        done = self.lab.client("sh", "-c", f"curl -sS --fail --max-time 300 {url} | sha256sum")
        self.assertEqual(done.stdout.split()[0], self.sha256)
        server = scenario.server_status(self.lab)
        self.assertEqual((server["activeDomain"], server.get("failovers")), (self.server["activeDomain"], self.server.get("failovers")))
        self.assertEqual(self.daemon_pid(), self.daemon)
        for name, kib in self.memory().items():
            self.assertLess(kib, self.resident[name] + GROWTH_KIB, name)

    def is_cut_off(self, mode, reason):
        self.begins(mode)
        self.lab.wait_until(f"the guest is cut off: {reason}", lambda: self.message() == f"its channel was closed: {reason}")
        self.others_are_served()

    def test_bad_ring_content(self):
        self.begins("flip")
        self.lab.wait_until("the guest is cut off", lambda: self.message().startswith("its channel was closed: "))
        self.others_are_served()

    def test_bad_grant_references(self):
        self.is_cut_off("grants", "bad-header")

    def test_grants_revoked_while_mapped(self):
        self.is_cut_off("revoke", "map: permission")

    def test_event_storm(self):
        self.begins("events")
        self.others_are_served()
        self.lab.wait_until("the storm is counted", lambda: self.counter("events_received") > 1000)

    def test_flood_of_frames(self):
        self.begins("drop")
        self.others_are_served()
        self.lab.wait_until("the flood is counted", lambda: self.counter("spoofed_mac") > 1000)

    def test_registry_storm(self):
        self.begins("registry")
        self.others_are_served()

    def test_device_that_runs_wild(self):
        self.begins("dma")
        done = self.lab.ctl("guest", "set-mode", HOSTILE, "direct", "--deadline", "5s", check=False)
        self.assertIn("did not answer within the deadline", done.stderr)
        self.said("runs wild")
        self.lab.wait_until("the IOMMU refuses its DMA", lambda: "DMAR:[DMA" in self.lab.dom0("xl dmesg").stdout)
        self.others_are_served()
        # Its NIC works again for whoever has it next.
        self.lab.ctl("guest", "delete", HOSTILE)
        for mode in ("direct", "server"):
            scenario.set_mode(self.lab, scenario.WEB, mode)
            self.others_are_served()


if __name__ == "__main__":
    runner.main()
