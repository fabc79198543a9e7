"""The machine under the Xen lab: QEMU's software emulation of an AMD computer with nested paging and an IOMMU.

Xen and domain 0 are booted once; the machine's state is then saved beside the image, under a name that is the hash of all
that it depends on, and every further start goes on from there. docs/xen.md, "The lab", says why the machine looks as it does.
"""
import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import time

from lib.lab import kill, run

BINARY = "qemu-system-x86_64"
MEMORY_MIB = 4096
DOM0_MIB = 2048
FIRST_SLOT = 4
TRANSFER_BYTES = 1 << 30
KEPT_SECONDS = 7 * 24 * 3600
XEN_ARGUMENTS = (f"console=com1 com1=115200,8n1 dom0_mem={DOM0_MIB}M,max:{DOM0_MIB}M dom0_max_vcpus=1 loglvl=error "
                 "guest_loglvl=all noreboot cpuidle=0 iommu=no-sharept spec-ctrl=eager-fpu")
KERNEL_ARGUMENTS = ("root=/dev/vda rw console=hvc0 quiet systemd.show_status=0 net.ifnames=0 mitigations=off "
                    "random.trust_cpu=on rootflags=noatime")
FIXED = (
    "-machine", "q35,kernel-irqchip=off", "-accel", "tcg,thread=multi,tb-size=1024",
    "-cpu", "EPYC,+svm,+npt,-smap,-smep,-monitor,-rdtscp", "-smp", "1", "-m", str(MEMORY_MIB),
    "-display", "none", "-nodefaults", "-no-reboot", "-append", XEN_ARGUMENTS, "-device", "intel-iommu",
    "-device", "virtio-blk-pci,drive=disk,addr=3",
    # Files go in by a disk: many times faster than by the emulated network and ssh's ciphers.
    "-device", "virtio-blk-pci,drive=transfer,addr=0x11",
    # The way in: without a network, but for this one port, in the namespace where QEMU runs.
    "-netdev", "user,id=management,restrict=on,hostfwd=tcp:127.0.0.1:22-:22",
    "-device", "virtio-net-pci,netdev=management,mac=52:54:00:77:ff:00,addr=0x10,romfile=",
)
DEVICE = {
    "e1000e": "e1000e",
    # A modern function whose DMA goes through the IOMMU, as a real one's does.
    "virtio": "virtio-net-pci,disable-legacy=on,iommu_platform=on,romfile=",
}


def prune(directory, used, pattern):
    """Marks `used` as used now, and removes what nobody used for long."""
    os.utime(used)
    for path in directory.glob(pattern):
        if path.stat().st_mtime < time.time() - KEPT_SECONDS:
            shutil.rmtree(path, ignore_errors=True)


def mac(number):
    """NIC `number`'s own hardware address."""
    return f"52:54:00:77:00:{number:02x}"


class Machine:
    """One QEMU process. `prefix` starts every command (`ip netns exec …`); NIC n hangs on the TAP interface nic<n> there."""

    def __init__(self, directory, image, nics, prefix):
        self._directory, self._image, self._prefix = directory, image, prefix
        self._process = None
        self._devices = []
        for number, model in enumerate(nics):
            tap = f"nic{number}"
            self._devices += ["-netdev", f"tap,id={tap},ifname={tap},script=no,downscript=no", "-device",
                              f"{DEVICE[model]},netdev={tap},mac={mac(number)},addr={FIRST_SLOT + number}"]
        self.transfer = directory / "transfer"
        with open(self.transfer, "wb") as disk:
            disk.truncate(TRANSFER_BYTES)
        key = [run(BINARY, "--version").stdout, KERNEL_ARGUMENTS, *FIXED, *self._devices]
        self._saved = image / f"booted-{hashlib.sha256(repr(key).encode()).hexdigest()[:16]}"

    def start(self, reachable):
        """Returns once it runs and `reachable()`, which waits for domain 0, has returned."""
        with open(self._image / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for interrupted in self._image.glob("booted-*.*"):
                shutil.rmtree(interrupted)
            if not self._saved.exists():
                self._boot_and_save(reachable)
            prune(self._image, self._saved, "booted-*")
            prune(self._image.parent, self._image, "*-*")
        state = self._saved / "state"
        self._run(f"file={self._saved}/disk,format=qcow2,snapshot=on", "-incoming", f"exec:cat {state}")
        reachable()

    def ended(self):
        return self._process.poll() is not None

    def _run(self, disk, *more):
        with open(self._directory / "qemu.log", "ab") as log:
            self._process = subprocess.Popen(
                [*self._prefix, BINARY, "-name", self._directory.name, *FIXED, *self._devices,
                 "-kernel", str(self._image / "xen"),
                 "-initrd", f"{self._image}/vmlinuz {KERNEL_ARGUMENTS},{self._image}/initrd",
                 "-drive", f"{disk},if=none,id=disk",
                 "-drive", f"file={self.transfer},format=raw,if=none,id=transfer", "-serial", f"file:{self._directory}/console.log",
                 "-qmp", f"unix:{self._directory}/qmp,server=on,wait=off", *more],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        # Linux gives each session the same share of a CPU, however nice its processes are (sched(7), "The autogroup
        # feature"): one program that runs beside made the lab ten times slower.
        with contextlib.suppress(OSError):
            pathlib.Path(f"/proc/{self._process.pid}/autogroup").write_text("-10")

    def _boot_and_save(self, reachable):
        work = self._saved.with_suffix(f".{os.getpid()}")
        work.mkdir()
        run("qemu-img", "create", "-q", "-f", "qcow2", "-b", self._image / "disk.img", "-F", "raw", work / "disk")
        self._run(f"file={work}/disk,format=qcow2")
        reachable(leave=True)
        self._qmp("migrate", {"uri": f"exec:cat >{work}/state"})
        while (status := self._qmp("query-migrate").get("status")) != "completed":
            if status in ("failed", "cancelled"):
                raise RuntimeError(f"the machine's state cannot be saved: {status}")
            time.sleep(0.1)
        kill(self._process.pid)
        self._process.wait()
        work.rename(self._saved)

    def _qmp(self, command, arguments=None):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self._directory / "qmp"))
            stream = connection.makefile("rw")
            stream.readline()
            for name, value in (("qmp_capabilities", None), (command, arguments)):
                stream.write(json.dumps({"execute": name, **({"arguments": value} if value else {})}) + "\n")
                stream.flush()
                reply = {}
                while "return" not in reply and "error" not in reply:  # Events come between.
                    reply = json.loads(stream.readline())
            if "error" in reply:
                raise RuntimeError(f"{command}: {reply['error'].get('desc')}")
            return reply["return"]
