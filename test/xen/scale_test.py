"""On Xen: 16 guests on one server domain of 32 MiB, an HTTP guest in 32 MiB, and images of less than 2 MiB."""
import os

from lib import runner, scenario
from lib.lab import ROOT
from xen.case import XenTestCase
from xen.lab import INSTALLED

ECHO_GUESTS = 15
MEMORY_MIB = 32


class XenScaleTest(XenTestCase):
    @classmethod
    def prepare(cls):
        cls.sha256 = cls.lab.make_file("file", 2)
        cls.lab.start_daemon()
        cls.lab.create_nic("wire0")
        cls.lab.ctl("server", "create", scenario.SERVER, "--nic", "wire0", "--memory-mib", f"{MEMORY_MIB}",
                    *cls.lab.server_options)

    def create(self, name, number, *arguments):
        self.lab.ctl("guest", "create", name, "--server", scenario.SERVER, "--memory-mib", f"{MEMORY_MIB}", "--address",
                     f"10.77.0.{number}/24", "--no-wait", *arguments)

    def test_sixteen_guests(self):
        numbers = range(101, 101 + ECHO_GUESTS)
        for number in numbers:
            self.create(f"echo-{number}", number, "--", "echo")
        self.create("web", 100, "--files", str(self.lab.files), "--", "http")
        got = self.lab.directory / "got"
        self.lab.wait_until("the 16th guest serves its file", lambda: self.lab.client(
            "curl", "-sS", "--fail", "-o", got, "http://10.77.0.100/file", check=False).returncode == 0)
        self.assertEqual(self.lab.client("sha256sum", got).stdout.split()[0], self.sha256)
        addresses = [f"10.77.0.{number}" for number in numbers]
        self.lab.wait_until("all guests answer at once", lambda: not self.lab.client(
            "python3", ROOT / "test/lib/reach.py", "7", *addresses).stdout.strip())

    def test_images_are_small(self):
        for name in INSTALLED:
            if name.endswith(".elf"):
                self.assertLess(os.path.getsize(self.lab.binary(name)), 2 << 20, name)


if __name__ == "__main__":
    runner.main()
