"""packaging/install.sh in a domain 0: what it installs runs, and it takes all of it away again."""
import subprocess

from lib import runner
from lib.lab import ROOT
from xen.case import XenTestCase

BUILT = ("daemon/librettosd", "client/librettosctl", "netserver/server", "guest/apps/guest", "netserver/image.elf",
         "guest/apps/image.elf")


class InstallTest(XenTestCase):
    def test_install_and_uninstall(self):
        tree = self.lab.directory / "tree"
        for name in BUILT:
            target = tree / ".bazel/bin" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["strip", "-o", target, self.lab.binary(name)], check=True)
        archive = self.lab.directory / "tree.tar"
        subprocess.run(["tar", "chf", archive, "-C", tree, ".", "-C", ROOT, "packaging"], check=True)
        self.lab.put(archive, "/root/tree.tar")
        self.lab.dom0("mkdir -p /root/tree && tar x -C /root/tree -f /root/tree.tar")

        done = self.lab.dom0("/root/tree/packaging/install.sh --no-build")
        self.assertIn("librettosd runs", done.stdout)
        self.assertEqual(self.lab.dom0("systemctl is-enabled librettosd; systemctl is-active librettosd").stdout, "enabled\nactive\n")
        self.assertIn("hypervisor=xen", self.lab.log())
        self.lab.dom0("grep -qx xen-pciback /etc/modules-load.d/librettos-xen.conf")
        # An operator installs a newer one over it.
        self.lab.dom0("/root/tree/packaging/install.sh --no-build")

        self.lab.dom0("/root/tree/packaging/install.sh --uninstall")
        self.assertEqual(self.lab.dom0("systemctl is-active librettosd", check=False).stdout, "inactive\n")
        left = self.lab.dom0("find /usr /etc -path '*librettos*' -not -path '/etc/systemd/system/librettosd.service'").stdout
        self.assertEqual(left, "")


if __name__ == "__main__":
    runner.main()
