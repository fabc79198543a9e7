"""In the Xen lab: how long a client waits after the domain with the NIC was destroyed, for a network server and for a Linux driver domain.

    bazel run //test/bench:driver_domain -- [--rounds N]        as root

The Linux domain is as small as can be: Debian's kernel, an initrd that loads the NIC's driver and sets an address, nothing else (a real
one also starts udev, a bridge and network back ends); what is shown is the time from `xl create` until it answers a ping, which
its destruction and somebody's noticing would come before. The server is destroyed under a numbered UDP stream through a guest, whose pause is shown: once with a standby that
has a NIC of its own, and once with a standby to which the one NIC is moved. All on the same emulated machine, where each takes
far longer than on a real one.
"""
import argparse
import sys
import time

from lib import scenario
from lib.streams import UdpStream, percentile
from xen import lab as xen
from xen.config import domain_config

LINUX, LINUX_IP, LINUX_NIC = "linux", "10.77.0.30", 3
MAKE_INITRD = f"""
set -e
mkdir initrd && cd initrd && mkdir bin proc sys dev
cp /usr/lib/klibc/bin/sh /usr/lib/klibc/bin/mount /usr/lib/klibc/bin/ipconfig /usr/lib/klibc/bin/sleep /usr/bin/kmod bin
ln -s kmod bin/insmod
for file in /lib/klibc-*.so $(ldd /usr/bin/kmod | grep -o '/lib[^ ]*'); do mkdir -p .$(dirname $file); cp -L $file .$file; done
find /lib/modules -name ptp.ko -o -name e1000e.ko | xargs cp -t .
cat >init <<END
#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
for module in ptp e1000e; do insmod /\\$module.ko; done
ipconfig {LINUX_IP}::10.77.0.1:255.255.255.0:{LINUX}:eth0:none
while true; do sleep 1000; done
END
chmod +x init
find . | cpio -o -H newc --quiet | gzip -1 >../initrd.gz
"""


def linux_boot(lab):
    """Seconds from the creation of a Linux driver domain until it answers."""
    lab.dom0(MAKE_INITRD)
    lab.dom0(f"xl pci-assignable-add {lab.slot(LINUX_NIC)}")
    config = {"kernel": lab.dom0("ls /boot/vmlinuz-*").stdout.strip(), "ramdisk": "/root/initrd.gz",
              "cmdline": "console=hvc0 net.ifnames=0", "pci": [lab.slot(LINUX_NIC)]}
    lab.dom0("cat >linux.cfg", input=domain_config(LINUX, "linux", None, memory_mib=256, **config))
    begin = time.monotonic()
    lab.dom0("xl create -q linux.cfg")
    lab.wait_until("Linux answers", lambda: lab.client("ping", "-c1", "-W1", LINUX_IP, check=False).returncode == 0, 600)
    return time.monotonic() - begin


def server_pauses(lab, rounds, nics):
    """Pauses in seconds that a stream through a guest sees when the server is destroyed."""
    lab.server_nics = nics
    scenario.build(lab, lab.files)
    with UdpStream(lab, scenario.ADDRESS[scenario.ECHO][0]) as stream:
        marks = scenario.repeat(stream, rounds, lambda _: scenario.replace_server(lab), "destroy")
    for noun, names in (("guest", (scenario.WEB, scenario.ECHO)), ("server", (scenario.SERVER,)), ("nic", (*nics, *lab.spare_nics))):
        for name in names:
            lab.ctl(noun, "delete", name)
    return [mark["pause_us"] / 1e6 for mark in marks]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if reason := xen.missing():
        sys.exit(f"no Xen lab here: {reason}")
    with xen.XenLab() as lab:
        lab.spare_nics = ()
        lab.make_file("file", 1)
        lab.start_daemon()
        print(f"{'destroyed':20} {'p50':>7} {'max':>7} s", flush=True)
        for name, nics in (("server, standby NIC", ("wire0", "wire1")), ("server, one NIC", ("wire2",))):
            seconds = server_pauses(lab, options.rounds, nics)
            print(f"{name:20} {percentile(seconds, .5):7.2f} {max(seconds):7.2f}", flush=True)
        print(f"{'Linux, booted':20} {linux_boot(lab):7.2f}")


if __name__ == "__main__":
    main()
