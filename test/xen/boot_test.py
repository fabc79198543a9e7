"""The lab itself: Xen with an IOMMU, domain 0 with its services, and images of this project that boot in both kinds of domain."""

from lib import runner
from xen.case import XenTestCase
from xen.config import domain_config

IMAGE = "guest/platform/xen/testing/core_image.elf"


class BootTest(XenTestCase):
    @classmethod
    def prepare(cls):
        cls.lab.put(cls.lab.binary(IMAGE), "/root/core.elf")

    def test_xen_can_pass_devices_to_hvm_domains(self):
        info = self.lab.dom0("xl info").stdout
        self.assertRegex(info, r"(?m)^xen_version +: 4\.17\.")
        self.assertRegex(info, r"(?m)^virt_caps +: .*\bhvm hvm_directio\b")

    def test_domain_0_runs_its_services(self):
        self.assertIn("running", self.lab.dom0("systemctl is-system-running", check=False).stdout)
        self.assertEqual(self.lab.dom0("xenstore-read /local/domain/0/name").stdout, "Domain-0\n")

    def test_nics_can_be_made_assignable(self):
        for number in range(len(self.lab.nics)):
            self.lab.dom0(f"xl pci-assignable-add {self.lab.slot(number)}")
            self.addCleanup(self.lab.dom0, f"xl pci-assignable-remove {self.lab.slot(number)}")
        listed = self.lab.dom0("xl pci-assignable-list").stdout.split()
        self.assertCountEqual(listed, [self.lab.slot(number) for number in range(len(self.lab.nics))])

    def boot(self, kind):
        name = f"boot-{kind}"
        self.lab.dom0(f"cat >{name}.cfg", input=domain_config(name, kind, "/root/core.elf"))
        self.addCleanup(self.lab.dom0, f"xl destroy {name}", check=False)
        self.lab.dom0(f"xl create {name}.cfg")
        domain = self.lab.dom0(f"xl domid {name}").stdout.strip()
        self.lab.wait_until(f"the {kind} domain says that it is up",
                            lambda: f"(d{domain}) up" in self.lab.dom0("xl dmesg").stdout)

    def test_pvh_domain(self):
        self.boot("pvh")

    def test_hvm_domain_with_the_image_as_firmware(self):
        self.boot("hvm")


if __name__ == "__main__":
    runner.main()
