#!/usr/bin/env python3
"""Builds what the Xen lab boots, from Debian's packages: domain 0's disk, its kernel and initrd, Xen, and a key for ssh.

It is kept under a name that is the hash of this file, so that a changed recipe makes a new one; only the key's public half
is on the disk. `image.py` prints the directory. As root.
"""
import contextlib
import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile

CACHE = pathlib.Path("/var/cache/librettos")
SUITE = "bookworm"
TOOLS = ("mmdebstrap", "mke2fs", "ssh-keygen")
SIZE = "3G"  # Sparse; most of it is kernel modules and the device model.
PACKAGES = (
    # The system, and a way in.
    "systemd-sysv", "udev", "dbus", "kmod", "iproute2", "procps", "pciutils", "openssh-server",
    # Xen, its control domain, the device model.
    "xen-hypervisor-4.17-amd64", "xen-utils-4.17", "xenstore-utils", "qemu-system-xen", "linux-image-amd64",
    # What librettosd and librettosctl are linked to.
    "libgrpc++1.51", "libprotobuf32", "libsystemd0", "libseccomp2", "libarchive13", "libxenmisc4.17",
)
# Not needed to boot; they would be unpacked, indexed and copied for nothing.
EXCLUDED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*") + tuple(
    f"/lib/modules/*/kernel/{part}/*" for part in (
        "sound", "drivers/gpu", "drivers/media", "drivers/net/wireless", "drivers/infiniband", "drivers/staging",
        "drivers/isdn", "drivers/iio", "drivers/usb", "drivers/bluetooth", "drivers/scsi"))
# An initrd with just the root disk's drivers is loaded and unpacked in a fraction of the time.
INITRAMFS = "MODULES=list\nCOMPRESS=gzip\n"
INITRAMFS_MODULES = "virtio_pci\nvirtio_blk\next4\ncrc32c_generic\n"
FILES = {
    "etc/hostname": "dom0\n",
    "etc/hosts": "127.0.0.1 localhost dom0\n::1 localhost\n",
    "etc/fstab": "",
    "etc/resolv.conf": "",
    # Keeps what domains print on their PV consoles in /var/log/xen/console.
    "etc/default/xen": 'XENCONSOLED_ARGS="--log=guest"\n',
    "var/log/xen/console/.keep": "",
    # The address that QEMU's user network forwards to.
    "etc/systemd/system/management.service":
        "[Unit]\nDefaultDependencies=no\nAfter=systemd-modules-load.service\n"
        "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/sbin/ip addr add 10.0.2.15/24 dev eth0\n"
        "ExecStart=/sbin/ip link set eth0 up\nExecStart=/sbin/ip link set lo up\n",
    "etc/modules-load.d/xen-lab.conf": "xen-pciback\nvirtio_net\n",
    # The NICs are for domains: no driver of domain 0 takes them first, and none is loaded for nothing.
    "etc/modprobe.d/xen-lab.conf":
        "".join(f"blacklist {name}\n" for name in ("e1000e", "iTCO_wdt", "lpc_ich", "i2c_i801", "joydev", "pcspkr",
                                                    "bochs", "cfg80211", "psmouse", "sr_mod", "ahci")),
    "etc/ssh/sshd_config.d/xen-lab.conf":
        "PermitRootLogin prohibit-password\nPasswordAuthentication no\nUsePAM no\nUseDNS no\nPrintMotd no\n"
        "MaxSessions 64\nMaxStartups 64\n",
    "etc/sysctl.d/xen-lab.conf": "kernel.printk = 4 4 1 7\n",
    "etc/systemd/journald.conf.d/xen-lab.conf": "[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\n",
    "etc/systemd/system.conf.d/xen-lab.conf": "[Manager]\nDefaultTimeoutStopSec=10s\n",
}
MASKED = ("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer",
          "e2scrub_reap.service", "systemd-timesyncd.service", "systemd-pstore.service", "getty@tty1.service",
          "getty.target", "serial-getty@hvc0.service", "systemd-logind.service", "modprobe@dm_mod.service",
          "modprobe@configfs.service", "modprobe@fuse.service",
          "systemd-update-utmp.service", "systemd-update-utmp-runlevel.service", "systemd-random-seed.service",
          "systemd-binfmt.service", "systemd-resolved.service", "man-db.timer", "motd-news.timer", "xendomains.service",
          "systemd-networkd.service", "systemd-networkd.socket",
          "systemd-networkd-wait-online.service", "modprobe@drm.service", "dev-hugepages.mount", "sys-kernel-debug.mount",
          "sys-kernel-tracing.mount", "systemd-udev-settle.service", "systemd-journal-flush.service")
ENABLED = {"management.service": "/etc/systemd/system", "ssh.service": "/lib/systemd/system"}


def recipe():
    return hashlib.sha256(pathlib.Path(__file__).read_bytes()).hexdigest()[:16]


def directory():
    return CACHE / f"xenlab-{recipe()}"


def missing_tools():
    return [tool for tool in TOOLS if not shutil.which(tool)]


def ensure():
    """The directory with disk.img, xen, vmlinuz, initrd, key and key.pub; builds it (about two minutes) if it is not there."""
    target = directory()
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            work = pathlib.Path(tempfile.mkdtemp(prefix="build-", dir=CACHE))
            try:
                _build(work)
                shutil.rmtree(work / "root")
                work.rename(target)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    return target


def _run(*args):
    done = subprocess.run([str(a) for a in args], text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise RuntimeError(f"{args[0]}: exit {done.returncode}\n{done.stdout[-4000:]}")


def _build(work):
    root = work / "root"
    _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "xen-lab", "-f", work / "key")
    conf = work / "initramfs"
    conf.write_text(INITRAMFS)
    modules = work / "modules"
    modules.write_text(INITRAMFS_MODULES)
    # It takes the mirror from this machine's own apt configuration.
    _run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}",
         *(f"--dpkgopt=path-exclude={pattern}" for pattern in EXCLUDED),
         '--essential-hook=mkdir -p "$1/etc/initramfs-tools/conf.d"',
         f"--essential-hook=upload {conf} /etc/initramfs-tools/conf.d/xen-lab",
         f"--customize-hook=upload {modules} /etc/initramfs-tools/modules",
         '--customize-hook=chroot "$1" update-initramfs -u',
         SUITE, root)
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(text)
    keys = root / "root/.ssh/authorized_keys"
    keys.parent.mkdir(mode=0o700, exist_ok=True)
    keys.write_bytes((work / "key.pub").read_bytes())
    units = root / "etc/systemd/system"
    for unit in MASKED:
        with contextlib.suppress(FileNotFoundError):
            (units / unit).unlink()
        (units / unit).symlink_to("/dev/null")
    wants = units / "multi-user.target.wants"
    for unit, place in ENABLED.items():
        if not (wants / unit).is_symlink():
            (wants / unit).symlink_to(f"{place}/{unit}")
    boot = root / "boot"
    shutil.copy(*boot.glob("vmlinuz-*"), work / "vmlinuz")
    shutil.copy(*boot.glob("initrd.img-*"), work / "initrd")
    with open(work / "xen", "wb") as out:
        hypervisor, = boot.glob("xen-*-amd64.gz")
        subprocess.run(["gunzip", "-c", hypervisor], stdout=out, check=True)
    _run("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", root, work / "disk.img", SIZE)
    conf.unlink()
    modules.unlink()
    os.chmod(work, 0o755)


if __name__ == "__main__":
    print(ensure())
