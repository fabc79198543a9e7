"""On Xen: creating and deleting guests leaves nothing behind, in Xen, in xenstore or in domain 0; what happens to the daemon's
service, to its device models and to the clock of domain 0 is survived."""
import concurrent.futures
import contextlib
import time

from lib import runner, scenario
from lib.streams import UdpStream
from xen.case import XenTestCase

SHARED = "10.77.0.2"
PORT = 8080


class XenLifecycleTest(XenTestCase):
    @classmethod
    def prepare(cls):
        cls.sha256 = cls.lab.make_file("file", 1)
        cls.lab.start_daemon()
        scenario.build(cls.lab, cls.lab.files, "--shared", f"{SHARED}/24")

    def download(self, address=scenario.ADDRESS[scenario.WEB][0]):
        done = self.lab.client("sh", "-c", f"curl -sS --fail --max-time 100 http://{address}/file | sha256sum")
        self.assertEqual(done.stdout.split()[0], self.sha256, f"{address}: {done.stderr}")

    def domains(self):
        """What runs for each resource, and the daemon."""
        server = scenario.server_status(self.lab)
        guests = [self.lab.domain(self.lab.describe("guest", name)["status"]) for name in scenario.ADDRESS]
        return [self.lab.domain(server, "active"), self.lab.domain(server, "standby"), *guests]

    def daemon(self):
        return self.lab.dom0("systemctl show -P MainPID librettosd").stdout.strip()

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

    def end_device_model(self, domain):
        self.lab.dom0(f"kill -9 $(xenstore-read /local/domain/{domain}/image/device-model-pid)")

    def runs_again(self, guest, before):
        return self.lab.wait_until(f"{guest} runs again", lambda: (g := self.lab.describe("guest", guest)["status"])["state"] ==
                                   "RUNNING" and self.lab.domain(g) != before and g)

    def test_guest_whose_device_model_ended_is_replaced(self):
        before = self.lab.domain(self.lab.describe("guest", scenario.WEB)["status"])
        self.end_device_model(before)
        self.assertEqual(self.runs_again(scenario.WEB, before)["lastExit"], "its device model ended")
        self.download()

    def test_server_whose_device_model_ended_is_replaced(self):
        before = scenario.server_status(self.lab)
        self.end_device_model(self.lab.domain(before, "active"))
        self.lab.wait_until("another server is active", lambda: (s := scenario.server_status(self.lab))["state"] == "ACTIVE" and
                            s["epoch"] > before["epoch"])
        scenario.standby_ready(self.lab)
        self.download()

    def test_the_service_is_restarted(self):
        before, daemon = self.domains(), self.daemon()
        with UdpStream(self.lab, scenario.ADDRESS[scenario.ECHO][0]) as stream:
            for command in ("restart librettosd", "stop librettosd; systemctl start librettosd"):
                self.lab.dom0(f"systemctl {command}")
                self.lab.start_daemon()
                scenario.standby_ready(self.lab)
            mark = stream.mark()
        self.assertNotEqual(self.daemon(), daemon)
        self.assertEqual(self.domains(), before)
        self.assertEqual(mark["missing"], 0)

    def test_the_whole_service_is_killed(self):
        before = [self.lab.domain(self.lab.describe("guest", name)["status"]) for name in scenario.ADDRESS]
        # Device models are in its control group.
        self.lab.dom0("systemctl kill -s KILL librettosd; systemctl start librettosd")
        self.lab.start_daemon()
        for name, domain in zip(scenario.ADDRESS, before, strict=True):
            self.runs_again(name, domain)
        scenario.standby_ready(self.lab)
        self.download()

    def test_the_clock_of_domain_0_is_set(self):
        self.lab.ctl("guest", "create", "leased", "--server", scenario.SERVER, "--files", str(self.lab.files), "--", "http",
                     "--port", f"{PORT}")
        self.addCleanup(self.lab.ctl, "guest", "delete", "leased", check=False)
        self.addCleanup(lambda: self.lab.dom0(f"date -s @{time.time():.0f}"))
        before, daemon = self.domains(), self.daemon()
        with UdpStream(self.lab, scenario.ADDRESS[scenario.ECHO][0]) as stream, concurrent.futures.ThreadPoolExecutor() as other:
            for mode, shift in (("direct", "+3600"), ("server", "-86400")):
                change = other.submit(scenario.set_mode, self.lab, scenario.WEB, mode)
                self.lab.dom0(f"date -s @$(($(date +%s) {shift}))")
                change.result()
                # Longer than any heartbeat may stand still.
                time.sleep(12)
                self.download()
                self.download(f"{SHARED}:{PORT}")
            mark = stream.mark()
        self.assertEqual((self.domains(), self.daemon()), (before, daemon))
        self.assertEqual(mark["missing"], 0)


if __name__ == "__main__":
    runner.main()
