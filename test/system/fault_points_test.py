"""Kills, stops and delays at every step of the protocols, under a download and a numbered UDP stream.

The points are those of docs/protocols.md, Fault points; the victims are the network servers, a guest beside the two that
have the traffic, and the daemon. By default every other point is not one of a stop; it is with LIBRETTOS_FAULTS=all in the
environment.
"""
import contextlib
import os
import pathlib
import signal
import threading
import time
import unittest

from lib import runner, scenario
from lib.fault_points import POINTS, Process, write_image
from lib.lab import Lab, kill, run
from lib.streams import Downloads, UdpStream

ALL = os.environ.get("LIBRETTOS_FAULTS") == "all"
VICTIM, VICTIM_ADDRESS = "victim", "10.77.0.13"
HANG = "500ms"
DELAY_S = 0.02
MOST_BROKEN = 5  # Then a test ends.
STOP_S = 2.0  # Longer than the daemon lets a server hang, and than a change of mode may take.

# Two deaths: the second comes in the recovery from the first, or both are held, and die together.
PAIRS = [
    ("traffic", ("active", "server.sent"), ("standby", "server.attached")),
    ("traffic", ("active", "server.looked"), ("standby", "server.unnamed")),
    ("traffic", ("active", "server.published"), ("standby", "server.greeting")),
    ("traffic", ("active", "server.consumed"), ("daemon", "daemon.nic-given")),
    ("traffic", ("active", "server.sent"), ("daemon", "daemon.role-written")),
    ("direct", ("guest", "guest.nic-opened"), ("active", "server.sent")),
    ("direct", ("guest", "guest.declared-direct"), ("daemon", "daemon.nic-back")),
    ("upgrade", ("active", "server.quiescing"), ("daemon", "daemon.activating")),
]


class FaultLab(Lab):
    def binary(self, name):
        with_points = {"daemon/librettosd": "librettosd", "netserver/server": "server", "guest/apps/guest": "guest"}
        return super().binary(f"test/system/{with_points[name]}_with_fault_points" if name in with_points else name)


class FaultPointsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = pathlib.Path(os.environ["TEST_TMPDIR"])
        cls.image, cls.armed_image = directory / "server", directory / "armed"
        cls.lab = lab = FaultLab(server_image=cls.image).__enter__()
        cls.addClassCleanup(lab.close)
        cls.points = lab.binary("netserver/server")
        write_image(cls.points, cls.image)
        cls.sha256 = lab.make_file("file", 32)
        lab.start_daemon()
        scenario.build(lab, lab.files, "--hang-timeout", HANG, "--shared", "10.77.0.2/24")
        cls.create_victim()
        scenario.standby_ready(lab)

    @classmethod
    def create_victim(cls):
        cls.lab.ctl("guest", "create", VICTIM, "--server", scenario.SERVER, "--address", f"{VICTIM_ADDRESS}/24", "--", "echo")

    # ---- who

    def running(self, image):
        """Processes that run a server's image."""
        found = set()
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if path.read_bytes().split(b"\0")[0] == str(image).encode():
                    found.add(int(path.parent.name))
        return found

    def process(self, who):
        if who == "daemon":
            return Process(self.lab.daemon.pid, self.lab.binary("daemon/librettosd"))
        if who == "guest":
            return Process(self.lab.describe("guest", VICTIM)["status"]["pid"], self.lab.guest_image)
        return Process(scenario.server_status(self.lab)[f"{who}Pid"], self.image)

    # ---- what happens

    def start(self, what):
        """Makes something happen; does not wait for it. Returns the thread."""
        ctl = lambda *args: self.lab.ctl(*args, check=False, timeout="10s")  # noqa: E731
        happen = {
            "traffic": lambda: None,
            "ping": lambda: self.lab.client("ping", "-c", "1", "-W", "1", VICTIM_ADDRESS, check=False),
            "lease": lambda: ctl("guest", "create", "leased", "--server", scenario.SERVER, "--no-wait", "--", "echo", "--port", "9"),
            "upgrade": lambda: ctl("server", "upgrade", scenario.SERVER, "--image", str(self.upgrade_image), "--health-timeout", "1s"),
            "direct": lambda: ctl("guest", "set-mode", VICTIM, "direct", "--deadline", "1s"),
            "server": lambda: ctl("guest", "set-mode", VICTIM, "server", "--deadline", "1s"),
        }
        if what in ("failover", "new standby"):
            kill(self.process("active" if what == "failover" else "standby").pid)
            return None
        if what == "guest dies":
            kill(self.process("guest").pid)
            return None
        thread = threading.Thread(target=happen[what])
        thread.start()
        return thread

    def until(self, what, condition, seconds=10):
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                self.fail(f"not {what}\n{self.lab.log()}\n{self.lab.domain_logs()}")
            time.sleep(0.001)

    def act(self, action, process):
        if action == "kill":
            kill(process.pid)
            if process.pid == self.lab.daemon.pid:
                self.lab.daemon.wait()
        elif action == "stop":
            kill(process.pid, signal.SIGSTOP)
            deadline = time.monotonic() + STOP_S
            while process.runs() and time.monotonic() < deadline:
                time.sleep(0.01)
            if process.runs():
                process.disarm()
                kill(process.pid, signal.SIGCONT)
        else:
            time.sleep(DELAY_S)
            process.disarm()

    def settle(self, thread, victim_died):
        """Everything is as it was before: in server mode, with a standby, without the extra guest."""
        write_image(self.points, self.image)
        if self.lab.daemon.poll() is not None:
            self.lab.start_daemon()
        if thread:
            thread.join()
        scenario.standby_ready(self.lab)
        if self.lab.describe("server", scenario.SERVER)["spec"]["image"] != str(self.image):
            scenario.upgrade(self.lab, self.image)
        # Servers that died young are started ever later, until one is ended by request.
        self.lab.ctl("server", "fail", scenario.SERVER)
        scenario.standby_ready(self.lab)
        if self.lab.ctl("guest", "describe", "leased", check=False).returncode == 0:
            self.lab.ctl("guest", "delete", "leased")
        if victim_died:  # Likewise.
            self.lab.ctl("guest", "delete", VICTIM)
            self.create_victim()
        self.lab.wait_until("the victim is back", lambda: self.lab.ctl(
            "guest", "set-mode", VICTIM, "server", "--deadline", "2s", check=False).returncode == 0)
        self.lab.wait_until("its NIC is back", lambda: not self.lab.describe("guest", VICTIM)["status"].get("nic"))
        self.lab.wait_until("the victim answers", lambda: self.lab.client(
            "ping", "-c", "1", "-W", "1", VICTIM_ADDRESS, check=False).returncode == 0)

    # ---- cases

    def one(self, what, who, point, action, stream):
        self.name = f"{what}: {who} at {point}: {action}"
        begin = time.monotonic()
        self.upgrade_image = self.image
        if what == "server":
            self.lab.ctl("guest", "set-mode", VICTIM, "direct")
        if who == "itself":
            image = self.armed_image if what == "upgrade" else self.image
            before = self.running(image)
            write_image(self.points, image, point)
            self.upgrade_image = image
            thread = self.start(what)
            self.until("started", lambda: self.running(image) - before)
            process = Process((self.running(image) - before).pop(), image)
        else:
            process = self.process(who)
            process.arm(point)
            thread = self.start(what)
        self.until("reached", process.reached)
        if who == "itself":
            write_image(self.points, image)  # The next one is to live.
        self.act(action, process)
        self.settle(thread, victim_died=what == "guest dies" or (who == "guest" and action == "kill"))
        mark = stream.mark()
        print(f"{self.name}: pause {mark['pause_us'] / 1e3:.1f} ms, missing {mark['missing']} of {mark['sent']}, "
              f"{time.monotonic() - begin:.1f} s", flush=True)
        self.assertGreater(mark["received"], 0, self.name)
        # What a server had taken from its NIC dies with it; a NIC that nobody holds takes nothing; while who should hold it
        # hangs, its queue runs over.
        if action == "delay" or not (who in ("active", "standby", "itself") or what in ("failover", "upgrade")):
            self.assertEqual(mark["missing"], 0, self.name)

    def two(self, what, first, second, stream):
        """The second dies in the recovery from the first one's death, or is held already when that comes."""
        self.name = f"{what}: {first[0]} at {first[1]}, {second[0]} at {second[1]}"
        begin = time.monotonic()
        self.upgrade_image = self.image
        processes = [self.process(who) for who, _ in (first, second)]
        for process, (_, point) in zip(processes, (first, second)):
            process.arm(point)
        thread = self.start(what)
        for process in processes:
            self.until("reached", process.reached)
            self.act("kill", process)
        self.settle(thread, victim_died=first[0] == "guest")
        mark = stream.mark()
        print(f"{self.name}: pause {mark['pause_us'] / 1e3:.1f} ms, missing {mark['missing']} of {mark['sent']}, "
              f"{time.monotonic() - begin:.1f} s", flush=True)
        self.assertGreater(mark["received"], 0, self.name)

    def under_traffic(self, cases, run=None):
        url = f"http://{scenario.ADDRESS[scenario.WEB][0]}/file"
        downloads = Downloads(self.lab, url, self.sha256, limit_rate="20M")
        broken = []
        with UdpStream(self.lab, scenario.ADDRESS[scenario.ECHO][0], rate=1000) as stream, downloads:
            for case in cases:
                try:
                    (run or self.one)(*case, stream)
                except (AssertionError, RuntimeError) as error:
                    broken.append(f"{self.name}: {error}")
                    print(broken[-1], flush=True)
                if len(broken) == MOST_BROKEN:
                    break
        self.assertEqual(broken, [])
        self.assertEqual(downloads.failures, [], self.lab.log() + self.lab.domain_logs())
        self.assertGreater(downloads.completed, 0)

    @staticmethod
    def cases(action):
        number = 0
        for key, points in POINTS.items():
            what, who = key.split(": ")
            for point in points:
                number += 1
                if ALL or action != "stop" or number % 2 == 0:
                    yield what, who, point, action

    def test_deaths(self):
        self.under_traffic(self.cases("kill"))

    def test_hangs(self):
        self.under_traffic(self.cases("stop"))

    def test_delays(self):
        self.under_traffic(self.cases("delay"))

    def test_two_deaths(self):
        self.under_traffic(PAIRS, self.two)


if __name__ == "__main__":
    runner.main()
