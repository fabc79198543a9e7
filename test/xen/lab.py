"""The Xen lab: Xen 4.17 with a Debian domain 0 in an emulated machine, whose NICs are on the wire of a network lab.

The machine, its TAP interfaces and the way in (ssh) all live in the wire's namespace: nothing of the host is touched, and
whoever removes the namespaces ends the machine.
"""
import contextlib
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import threading
import time

from lib.lab import ROOT, Lab, run
from xen import image
from xen.machine import BINARY, FIRST_SLOT, MEMORY_MIB, Machine

NIC_MODELS = ("e1000e",) * 4
SERVER_IMAGE = "/usr/libexec/librettos/librettos-netserver.elf"
INSTALLED = {  # What was built and where it goes in domain 0.
    "daemon/librettosd": "/usr/sbin/librettosd",
    "client/librettosctl": "/usr/bin/librettosctl",
    "netserver/image.elf": SERVER_IMAGE,
    "guest/apps/image.elf": "/usr/libexec/librettos/librettos-guest.elf",
}
UNIT = "packaging/librettosd.service"
LOGS = {  # Name of a log and the command in domain 0 that prints it.
    "xl-dmesg.txt": "xl dmesg",
    "xl-list.txt": "xl list; xl list -l; xl info; xl pci-assignable-list",
    "xenstore.txt": "xenstore-ls -fp",
    "statistics.txt": "librettosctl stats",
    "journal.txt": "journalctl --no-pager",
    "dmesg.txt": "dmesg",
    "threads.txt": "ps -eLww -o pid,ppid,tid,stat,etimes,wchan:24,args; for task in /proc/$(pidof librettosd)/task/*; do "
                   "echo $task; cat $task/syscall $task/stack; done",
    "logs.tar": "tar c -C /var/log xen librettos 2>/dev/null",
}
SSH = ("-F", "none", "-c", "aes128-ctr", "-m", "umac-64-etm@openssh.com", "-o", "StrictHostKeyChecking=no",
       "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes")


def missing():
    """Why the lab cannot run on this machine; empty if it can."""
    if os.geteuid() != 0:
        return "it needs root"
    tools = [tool for tool in (BINARY, "qemu-img", "ssh", "ip", *image.TOOLS) if not shutil.which(tool)]
    if tools:
        return f"{', '.join(tools)} not installed (packaging/setup.sh --xen)"
    with open("/proc/meminfo") as meminfo:
        available = int(next(line for line in meminfo if line.startswith("MemAvailable")).split()[1]) // 1024
    if available < MEMORY_MIB + 512:
        return f"{available} MiB of memory are available, it needs {MEMORY_MIB + 512}"
    return ""


class XenLab(Lab):
    """A Lab whose host is domain 0. Use as a context manager."""
    # All of it is emulated on two CPUs.
    file_mib = 16
    udp_rate = 100
    udp_patience_ms = 60_000
    events = int(os.environ.get("LIBRETTOS_EVENTS", 2))
    patience = 120
    mode_deadline = 100
    health_timeout = "60s"
    # Each look is a program started in domain 0, whose one CPU also builds the domains that are waited for: librettosctl
    # takes half a second of it, most of that to be linked.
    poll_interval = 0.5
    # What still comes in by the old server's NIC is lost (docs/xen.md, "NICs").
    upgrade_keeps_all = False
    server_nics = ("wire0", "wire3")
    # A domain that waits for its turn on an emulated CPU does not hang.
    server_options = ("--hang-timeout", "10s")

    def __init__(self, nics=NIC_MODELS, **options):
        super().__init__(**options)
        self.nics = nics
        self.ssh_socket = self.directory / "ssh"
        self.machine = None
        self.files = pathlib.Path("/srv/files")
        self.server_image = SERVER_IMAGE
        self._nics_made = 0
        self._transfer = threading.Lock()

    def slot(self, number):
        """The PCI address of NIC `number`, from 0."""
        return f"0000:00:{FIRST_SLOT + number:02x}.0"

    # ---- life

    def __enter__(self):
        self.image = image.ensure()
        super().__enter__()
        try:
            self._boot()
        except BaseException:
            self.close()
            raise
        return self

    def _wire_command(self, *args):
        return ["ip", "netns", "exec", self.namespace("wire"), *map(str, args)]

    def _boot(self):
        begin = time.monotonic()
        wire = self.namespace("wire")
        for number in range(len(self.nics)):
            tap = f"nic{number}"
            run("ip", "-n", wire, "tuntap", "add", tap, "mode", "tap", "vnet_hdr")
            run("ip", "netns", "exec", wire, "sysctl", "-qw", f"net.ipv6.conf.{tap}.disable_ipv6=1")
            run("ip", "-n", wire, "link", "set", tap, "master", "br0", "up")
        self.machine = Machine(self.directory, self.image, self.nics, self._wire_command())
        self.machine.start(self._connect)
        # A machine that goes on from a saved state has the clock of then. Domain 0, which builds domains and emulates
        # their devices, does not wait for them in Xen's scheduler.
        self.dom0(f"date -s @{time.time():.0f} >/dev/null; xl sched-credit2 -d 0 -w 4096")
        self.boot_seconds = time.monotonic() - begin
        self._script("dom0", [*self.dom0_command("")[:-1], "--"])
        self._script("client", self.client_command())

    def _script(self, name, command):
        """For people: the lab's directory has a command that runs its arguments in domain 0 or in the client namespace."""
        path = self.directory / name
        path.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
        path.chmod(0o755)

    def _connect(self, leave=False, patience=600):
        """Makes the one connection that all commands share, and waits for Xen's services; `leave`: then closes it again."""
        begin = time.monotonic()
        while run(*self._wire_command("ssh", *SSH, "-M", "-S", self.ssh_socket, "-f", "-N", "-o", "ConnectTimeout=5",
                                      "-i", self.image / "key", "root@127.0.0.1"),
                  check=False, stdin=subprocess.DEVNULL).returncode != 0:
            if self.machine.ended():
                raise RuntimeError(f"QEMU ended:\n{self._tail('qemu.log')}{self.console()}")
            if time.monotonic() - begin > patience:
                raise RuntimeError(f"domain 0 cannot be reached:\n{self.console()}")
            time.sleep(0.2)
        self.dom0("until systemctl is-active -q xen.service; do sleep 0.1; done", timeout=300)
        if leave:
            self.dom0("sync")
            run("ssh", *SSH, "-S", self.ssh_socket, "-O", "exit", "dom0")

    def _tail(self, name, lines=40):
        with contextlib.suppress(OSError):
            return "\n".join((self.directory / name).read_text(errors="replace").splitlines()[-lines:]) + "\n"
        return ""

    # ---- domain 0

    def dom0_command(self, command):
        """The argument list that runs a shell command in domain 0, for subprocess."""
        # Without the shared connection it must fail, not reach whatever else is at an address.
        return ["ssh", *SSH, "-o", "ProxyCommand=false", "-S", str(self.ssh_socket), "root@dom0", command]

    def dom0(self, command, check=True, timeout=120, **options):
        """Runs a shell command in domain 0; its output is in the exception if it fails."""
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        return run(*self.dom0_command(command), check=check, timeout=timeout, **options)

    def put(self, source, path):
        """Copies a file to a path in domain 0; its mode too."""
        source, path = pathlib.Path(source), shlex.quote(str(path))
        status = source.stat()
        with self._transfer:
            with open(source, "rb") as content, open(self.machine.transfer, "r+b") as disk:
                shutil.copyfileobj(content, disk, 1 << 20)
            self.dom0(f"mkdir -p $(dirname {path}) && dd if=/dev/vdb of={path}.new bs=1M count={-(-status.st_size >> 20)} "
                      f"iflag=direct status=none && truncate -s {status.st_size} {path}.new && "
                      f"chmod {status.st_mode & 0o777:o} {path}.new && mv {path}.new {path}", timeout=600)

    def get(self, path, target):
        """Copies a file of domain 0 to the host."""
        with open(target, "wb") as out:
            subprocess.run(self.dom0_command(f"cat {shlex.quote(str(path))}"), stdout=out, stdin=subprocess.DEVNULL,
                           check=True, timeout=600)

    # ---- daemon

    def install(self):
        """Puts what was built into domain 0."""
        for name, path in INSTALLED.items():
            built, stripped = self.binary(name), self.directory / "stripped"
            # The symbols are most of a host binary; images have none.
            if name.startswith(("daemon/", "client/")):
                run("strip", "-o", stripped, built)
                built = stripped
            self.put(built, path)
        self.put(ROOT / UNIT, "/etc/systemd/system/librettosd.service")
        self.dom0("systemctl daemon-reload")

    def start_daemon(self):
        """Starts the daemon and returns once it serves; the seconds that took."""
        begin = time.monotonic()
        if self.dom0("test -x /usr/sbin/librettosd", check=False).returncode != 0:
            self.install()
            begin = time.monotonic()
        self.dom0("systemctl start librettosd")
        self.wait_until("librettosd answers", lambda: self.ctl("server", "list", check=False, timeout="5s").returncode == 0)
        return time.monotonic() - begin

    def kill_daemon(self):
        # Device models are in the service's control group, too.
        self.dom0("systemctl kill --kill-whom=main -s KILL librettosd")

    def ctl(self, *args, check=True, timeout=None):
        return self.dom0(shlex.join(["librettosctl", "--timeout", timeout or f"{self.patience}s", *map(str, args)]),
                         check=check, timeout=600)

    def ctl_text(self):
        return f"{self.directory}/dom0 librettosctl"

    # ---- what stands for a domain, a NIC and a guest's files

    @staticmethod
    def domain(status, role=""):
        return status.get(f"{role}Domain" if role else "domain", 0)

    def end_domain(self, domain, sig=signal.SIGKILL):
        self.dom0(f"xl {'destroy' if sig == signal.SIGKILL else 'pause'} {domain}")

    def domain_runs(self, domain):
        """Whether it is there and not on its way out."""
        listed = self.dom0(f"xl list {domain}", check=False)
        return listed.returncode == 0 and not set(listed.stdout.splitlines()[-1].split()[4]) & set("sd")

    def create_nic(self, name):
        """The next PCI function."""
        self.ctl("nic", "create", name, "--pci", self.slot(self._nics_made))
        self._nics_made += 1

    def make_file(self, name, mib):
        sha256 = super().make_file(name, mib)
        self.put(self.directory / "files" / name, self.files / name)
        return sha256

    # ---- logs

    def log(self, lines=40):
        return self.dom0(f"journalctl --no-pager -o cat -n {lines} -u librettosd", check=False).stdout

    def console(self, lines=40):
        """The end of the console of Xen, which is domain 0's too and shows what domains print on port 0xE9."""
        return self._tail("console.log", lines)

    def domain_logs(self, lines=20):
        return self.dom0(f"cd /var/log/xen/console 2>/dev/null && tail -n {lines} guest-*.log", check=False).stdout

    def collect(self):
        """Copies every log to a directory that outlives the lab, and returns it."""
        # What ends the connection says why only in domain 0.
        if not self.machine.ended() and run("ssh", *SSH, "-S", self.ssh_socket, "-O", "check", "dom0", check=False).returncode != 0:
            with contextlib.suppress(RuntimeError):
                self._connect(patience=60)
        target = pathlib.Path(os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR", f"/tmp/xen-lab-{self.tag}-logs"))
        target.mkdir(parents=True, exist_ok=True)
        for name in ("console.log", "qemu.log"):
            with contextlib.suppress(OSError):
                shutil.copy(self.directory / name, target)
        for name, command in LOGS.items():
            with contextlib.suppress(subprocess.SubprocessError), open(target / name, "wb") as out:
                subprocess.run(self.dom0_command(command), stdout=out, stderr=out, stdin=subprocess.DEVNULL, timeout=60)
        return target
