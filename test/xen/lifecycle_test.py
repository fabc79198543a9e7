"""On Xen: creating and deleting guests leaves nothing behind, in Xen, in xenstore or in domain 0."""
import contextlib

from lib import runner, scenario
from xen.case import XenTestCase


class XenLifecycleTest(XenTestCase):
    @classmethod
    def prepare(cls):
        cls.lab.make_file("file", 1)
        cls.lab.start_daemon()
        scenario.build(cls.lab, cls.lab.files)

    def resources(self):
        """What there is of each kind."""
        commands = {
            "domains": "xl list | wc -l",
            "free MiB": "xl info free_memory",
            "keys of xenstore": "xenstore-ls | wc -l",
            "event channels of domain 0": "/usr/lib/xen-4.17/bin/lsevtchn 0 | wc -l",
            "device models": "pgrep -c qemu-system || true",
            "loop devices": "losetup -l | wc -l",
            "files of the daemon": "find /run/librettos | wc -l",
            # libxl keeps a pipe for each wait that a context ever had at once: they grow, up to a bound, for some cycles.
            "descriptors of the daemon but pipes": "ls -l /proc/$(pidof librettosd)/fd | grep -vc pipe:",
        }
        output = self.lab.dom0("; ".join(commands.values())).stdout.split()
        return dict(zip(commands, map(int, output), strict=True))

    def cycle(self):
        for number, wait in ((21, []), (22, ["--no-wait"])):
            self.lab.ctl("guest", "create", f"g{number}", "--server", scenario.SERVER, "--address", f"10.77.0.{number}/24",
                         "--files", str(self.lab.files), *wait, "--", "http")
        for number in (22, 21):
            self.lab.ctl("guest", "delete", f"g{number}")

    def test_cycles_leave_nothing(self):
        self.cycle()  # Warms up allocators and pools.
        domains = 5 + 1  # Domain 0, server, standby, two guests; a line of headings.
        self.lab.wait_until("the domains have ended", lambda: self.resources()["domains"] == domains)
        expected = self.resources()
        for _ in range(self.lab.events):
            self.cycle()
        with contextlib.suppress(RuntimeError):
            self.lab.wait_until("all is as before", lambda: self.resources() == expected)
        self.assertEqual(self.resources(), expected)


if __name__ == "__main__":
    runner.main()
