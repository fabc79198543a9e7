"""A lab on one machine: network namespaces with a wire and a client, a daemon, and a guardian that removes it all.

The wire is a bridge in a namespace of its own; clients hang on it by veth pairs, librettos by TAP interfaces that the
daemon makes. No interface of the host is touched. Addresses: 10.77.0.0/24 and fd77::/64.
"""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

from lib.streams import make_file

# The workspace; under Bazel, the runfiles, where what was built lies at the same relative paths.
ROOT = pathlib.Path(__file__).absolute().parents[2]
# Bazel gives its tests a short PATH; ip, tc, sysctl and others are in sbin.
os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
BASE = pathlib.Path("/run/librettos-lab")


def run(*args, check=True, **options):
    """Runs a command; its output is in the exception (RuntimeError) if it fails, or takes longer than `timeout`."""
    try:
        done = subprocess.run([str(a) for a in args], text=True, capture_output=True, **options)
    except subprocess.TimeoutExpired as late:
        raise RuntimeError(f"{' '.join(map(str, args))}: not done in {late.timeout} s") from late
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, args))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def start_time(pid):
    """Field 22 of /proc/<pid>/stat: tells a process from a later one with the same id. None if it is gone."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rsplit(")", 1)[1].split()
    return None if fields[0] == "Z" else int(fields[19])


def can_run(pid):
    """Whether any thread is not on its way out (PF_EXITING in field 9 of its stat)."""
    for task in pathlib.Path("/proc").glob(f"{pid}/task/*/stat"):
        with contextlib.suppress(OSError):
            if not int(task.read_text().rsplit(")", 1)[1].split()[6]) & 4:
                return True
    return False


def kill(pid, sig=signal.SIGKILL):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, sig)


def _kill_recorded(directory):
    """Ends the daemon and all domains that are recorded below a lab's directory."""
    records = []
    with contextlib.suppress(OSError, ValueError):
        pid, start = map(int, (directory / "daemon.pid").read_text().split())
        if start_time(pid) == start:
            records.append(pid)
    for record in directory.glob("run/domains/*.json"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            value = json.loads(record.read_text())
            start = value.get("start_time", value.get("starttime"))
            if start_time(value["pid"]) == int(start):
                records.append(int(value["pid"]))
    for pid in records:
        kill(pid)
    deadline = time.monotonic() + 5
    while any(start_time(pid) is not None for pid in records) and time.monotonic() < deadline:
        time.sleep(0.01)


def clean(directory):
    """Removes everything of the lab in `directory`: processes, namespaces, files. Repeatable."""
    tag = directory.name
    _kill_recorded(directory)
    _kill_recorded(directory)  # A domain that the daemon was just starting.
    for namespace in pathlib.Path("/run/netns").glob(f"lbr-{tag}-*"):
        for pid in run("ip", "netns", "pids", namespace.name, check=False).stdout.split():
            kill(int(pid))
        run("ip", "netns", "del", namespace.name, check=False)
    for mount in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        if mount.split()[1].startswith(f"{directory}/"):
            run("umount", "-l", mount.split()[1], check=False)
    shutil.rmtree(directory, ignore_errors=True)
    with contextlib.suppress(OSError):
        BASE.rmdir()


def clean_abandoned():
    """Removes labs whose owner is gone (it and its guardian were killed, or the machine was)."""
    for directory in BASE.glob("*"):
        try:
            pid, start = map(int, (directory / "owner").read_text().split())
        except (OSError, ValueError):
            pid, start = 0, None
        if start is None or start_time(pid) != start:
            clean(directory)


class Lab:
    """Use as a context manager. test/xen/lab.py is the same on Xen; what differs is said where it does."""
    # How much of everything the main job and the tests do here.
    file_mib = 256
    udp_rate = 2000
    udp_patience_ms = 500  # What has not come back by then is lost.
    events = int(os.environ.get("LIBRETTOS_EVENTS", 20))
    patience = 20  # Seconds in which whatever is waited for has long happened.
    mode_deadline = 5  # Seconds.
    health_timeout = "5s"  # Of a planned upgrade.
    poll_interval = 0.01  # Seconds between two looks at what is waited for.
    upgrade_keeps_all = True  # A planned upgrade loses no frame.
    server_nics = ("wire0",)  # Its NIC, and if there is a second that of its standby.
    server_options = ()
    spare_nics = ("wire1", "wire2")

    def __init__(self, binaries=None, server_image=None):
        self.tag = str(os.getpid())
        self.directory = BASE / self.tag
        self.binaries = pathlib.Path(binaries or os.environ.get("LIBRETTOS_BIN", ROOT))
        self.server_image = server_image or self.binary("netserver/server")
        self.guest_image = self.binary("guest/apps/guest")
        self.socket = self.directory / "librettosd.sock"
        self.files = self.directory / "files"  # As the daemon sees it.
        self.daemon = None
        self._guardian = None

    def binary(self, name):
        return self.binaries / name

    def namespace(self, name):
        return f"lbr-{self.tag}-{name}"

    # ---- life

    def __enter__(self):
        clean_abandoned()
        self.directory.mkdir(parents=True)
        (self.directory / "owner").write_text(f"{os.getpid()} {start_time(os.getpid())}")
        self._start_guardian()
        try:
            self._make_wire()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self._guardian is None:
            return
        os.close(self._lifeline)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._guardian, 0)
        self._guardian = None

    def _start_guardian(self):
        """A child that removes the lab when this process ends, however it ends."""
        reader, self._lifeline = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self._guardian = os.fork()
        if self._guardian:
            os.close(reader)
            return
        try:
            os.setsid()
            os.close(self._lifeline)
            for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(sig, signal.SIG_IGN)
            os.read(reader, 1)
            clean(self.directory)
        finally:
            os._exit(0)

    def _make_wire(self):
        wire = self.namespace("wire")
        run("ip", "netns", "add", wire)
        run("ip", "-n", wire, "link", "set", "lo", "up")
        run("ip", "-n", wire, "link", "add", "br0", "type", "bridge", "stp_state", "0", "forward_delay", "0",
            "mcast_snooping", "0")
        run("ip", "netns", "exec", wire, "sysctl", "-qw", "net.ipv6.conf.br0.disable_ipv6=1")
        run("ip", "-n", wire, "link", "set", "br0", "up")
        self.add_host("client", 1)

    def add_host(self, name, number):
        """A namespace with plain kernel networking on the wire: 10.77.0.<number>, fd77::<number in hexadecimal>."""
        namespace, wire = self.namespace(name), self.namespace("wire")
        run("ip", "netns", "add", namespace)
        run("ip", "-n", namespace, "link", "set", "lo", "up")
        run("ip", "-n", namespace, "link", "add", "eth0", "type", "veth", "peer", "name", name[:15], "netns", wire)
        run("ip", "-n", wire, "link", "set", name[:15], "master", "br0", "up")
        run("ip", "-n", namespace, "addr", "add", f"10.77.0.{number}/24", "dev", "eth0")
        run("ip", "-n", namespace, "link", "set", "eth0", "up")
        run("ip", "-n", namespace, "addr", "add", f"fd77::{number:x}/64", "dev", "eth0", "nodad")

    # ---- daemon

    def start_daemon(self, *flags):
        """Starts the daemon and returns once it serves; the seconds that took."""
        begin = time.monotonic()
        log = open(self.directory / "librettosd.log", "ab")
        self.daemon = subprocess.Popen(
            [self.binary("daemon/librettosd"), f"--socket={self.socket}", f"--run_directory={self.directory}/run",
             f"--state_directory={self.directory}/state", f"--log_directory={self.directory}/log",
             f"--server_image={self.server_image}", f"--guest_image={self.guest_image}", *flags],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        log.close()
        (self.directory / "daemon.pid").write_text(f"{self.daemon.pid} {start_time(self.daemon.pid)}")
        while self.ctl("server", "list", check=False, timeout="1s").returncode != 0:
            if self.daemon.poll() is not None:
                raise RuntimeError(f"librettosd ended with {self.daemon.returncode}:\n{self.log()}")
            if time.monotonic() - begin > 20:
                raise RuntimeError(f"librettosd does not answer:\n{self.log()}")
            time.sleep(0.002)
        return time.monotonic() - begin

    def kill_daemon(self):
        self.daemon.kill()
        self.daemon.wait()

    def log(self, lines=40):
        with contextlib.suppress(OSError):
            return "\n".join((self.directory / "librettosd.log").read_text(errors="replace").splitlines()[-lines:])
        return ""

    def domain_logs(self, lines=20):
        text = []
        for path in sorted(self.directory.glob("log/*")):
            with contextlib.suppress(FileNotFoundError):  # Old ones are removed.
                tail = path.read_text(errors="replace").splitlines()[-lines:]
                text.append(f"--- {path.name}\n" + "\n".join(tail))
        return "\n".join(text)

    # ---- what stands for a domain, a NIC and a guest's files

    @staticmethod
    def domain(status, role=""):
        """The domain that a resource's status names; `role`: "", "active" or "standby". Of a process its id."""
        return status.get(f"{role}Pid" if role else "pid", 0)

    def end_domain(self, domain, sig=signal.SIGKILL):
        """Ends a domain at once, or hangs it (SIGSTOP)."""
        kill(domain, sig)

    def domain_runs(self, domain):
        """Whether it executes anything: one that is killed is there until its memory is released."""
        return can_run(domain)

    def create_nic(self, name):
        """A TAP interface on the wire."""
        self.ctl("nic", "create", name, "--tap", name, "--netns", f"/run/netns/{self.namespace('wire')}", "--bridge", "br0")

    def make_file(self, name, mib):
        """A file of noise for guests, in self.files; its SHA-256."""
        directory = self.directory / "files"
        directory.mkdir(exist_ok=True)
        return make_file(directory / name, mib << 20)

    # ---- librettosctl

    def ctl(self, *args, check=True, timeout=None):
        return run(self.binary("client/librettosctl"), "-s", self.socket, "--timeout", timeout or f"{self.patience}s", *args,
                   check=check)

    def ctl_text(self):
        """How people call librettosctl here."""
        return f"{self.binary('client/librettosctl')} -s {self.socket}"

    def describe(self, noun, name):
        """The resource, as JSON."""
        return json.loads(self.ctl("-o", "json", noun, "describe", name).stdout)

    def wait_until(self, what, condition, seconds=None):
        seconds = seconds or self.patience
        deadline = time.monotonic() + seconds
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > deadline:
                raise RuntimeError(f"after {seconds} s still not: {what}\n{self.log()}\n{self.domain_logs()}")
            time.sleep(self.poll_interval)

    # ---- clients

    def client_command(self, *args, host="client"):
        return ["ip", "netns", "exec", self.namespace(host), *map(str, args)]

    def client(self, *args, host="client", check=True, **options):
        return run(*self.client_command(*args, host=host), check=check, **options)

    def client_start(self, *args, host="client", **options):
        return subprocess.Popen(self.client_command(*args, host=host), text=True, **options)
