"""What the host does to the daemon: a full disk, no descriptors or processes left, a broken state file, sockets removed. It says what is wrong,
what runs goes on, and once the cause is gone so does everything else."""
import os
import pathlib
import resource
import unittest

from lib import runner, scenario
from lib.lab import Lab, run

ADDRESS = scenario.ADDRESS[scenario.WEB][0]


class EnvironmentTest(unittest.TestCase):
    def setUp(self):
        self.lab = Lab().__enter__()
        self.addCleanup(self.lab.close)
        self.state = self.lab.directory / "state"
        self.state.mkdir()
        run("mount", "-t", "tmpfs", "-o", "size=256k,mode=0700", "none", self.state)
        self.lab.make_file("file", 1)
        self.lab.start_daemon()
        scenario.build(self.lab, self.lab.files)

    def assert_serves(self):
        self.lab.client("curl", "-sS", "--fail", "--max-time", "10", "-o", "/dev/null", f"http://{ADDRESS}/file")

    def create(self, name, number):
        return self.lab.ctl("guest", "create", name, "--server", scenario.SERVER, "--address", f"10.77.0.{number}/24", "--", "echo",
                            check=False)

    def test_full_disk(self):
        hog = self.state / "hog"
        with self.assertRaises(OSError), open(hog, "wb", buffering=0) as out:
            while True:
                out.write(bytes(4096))
        refused = self.create("late", 100)
        self.assertEqual(refused.returncode, 1, refused.stderr)
        self.assertIn("No space left on device", refused.stderr)
        self.assertNotIn("late", self.lab.ctl("guest", "list").stdout)
        # Not even a failover needs the disk.
        scenario.replace_server(self.lab)
        self.assert_serves()
        hog.unlink()
        self.assertEqual(self.create("late", 100).returncode, 0)
        # What could not be written before is written by now.
        self.lab.wait_until("the epoch is written", lambda: "state could not be written" not in self.lab.log(lines=1))
        scenario.restart_daemon(self.lab)
        self.assertIn("late", self.lab.ctl("guest", "list").stdout)
        self.assert_serves()

    def test_no_descriptors(self):
        before = resource.prlimit(self.lab.daemon.pid, resource.RLIMIT_NOFILE)
        used = max(map(int, os.listdir(f"/proc/{self.lab.daemon.pid}/fd")))
        # Enough for a client, too few for a domain.
        resource.prlimit(self.lab.daemon.pid, resource.RLIMIT_NOFILE, (used + 4, before[1]))
        refused = self.lab.ctl("guest", "create", "late", "--server", scenario.SERVER, "--address", "10.77.0.100/24", "--no-wait",
                               "--", "echo", check=False)
        if refused.returncode == 0:  # What is wanted was written down; it cannot be started.
            self.lab.wait_until("it says why", lambda: "Too many open files" in self.lab.log())
        else:
            self.assertIn("Too many open files", refused.stderr + self.lab.log())
        self.assert_serves()
        resource.prlimit(self.lab.daemon.pid, resource.RLIMIT_NOFILE, before)
        if refused.returncode != 0:
            self.assertEqual(self.create("late", 100).returncode, 0)
        self.lab.wait_until("the guest runs", lambda: self.lab.describe("guest", "late")["status"]["state"] == "RUNNING")

    def limit_processes(self):
        """Neither the daemon nor what it starts may have more processes and threads than there are; returns what lifts that."""
        root = pathlib.Path("/sys/fs/cgroup/pids")  # Version 1, or 2.
        root = root if root.is_dir() else root.parent
        group = root / f"lbr-{self.lab.tag}"
        try:
            group.mkdir()
            (group / "pids.max").read_text()
            (group / "cgroup.procs").write_text(str(self.lab.daemon.pid))
        except OSError as error:
            self.skipTest(f"no control group of processes can be made: {error}")
        finally:
            def remove():
                self.lab.close()
                for pid in (group / "cgroup.procs").read_text().split():
                    (root / "cgroup.procs").write_text(pid)
                group.rmdir()
            self.addCleanup(lambda: group.is_dir() and remove())
        (group / "pids.max").write_text((group / "pids.current").read_text())
        return lambda: (group / "pids.max").write_text("max")

    def test_no_processes(self):
        lift = self.limit_processes()
        refused = self.lab.ctl("guest", "create", "late", "--server", scenario.SERVER, "--address", "10.77.0.100/24", "--no-wait",
                               "--", "echo", check=False)
        self.assertEqual(refused.returncode, 0, refused.stderr)  # What is wanted was written down; it cannot be started.
        late = self.lab.wait_until("it says why", lambda: (s := self.lab.describe("guest", "late")["status"]).get("message") and s)
        self.assertEqual(late["state"], "DEGRADED")
        self.assertIn("Resource temporarily unavailable", late["message"])
        nic = self.lab.ctl("nic", "create", "late", "--tap", "late", "--netns", f"/run/netns/{self.lab.namespace('wire')}", check=False)
        self.assertIn("Resource temporarily unavailable", nic.stderr + self.lab.ctl("nic", "describe", "late", check=False).stdout)
        # A failover needs no new process; a new standby does.
        before = scenario.server_status(self.lab)
        self.lab.end_domain(before["activePid"])
        self.lab.wait_until("the standby is active", lambda: (s := scenario.server_status(self.lab))["state"] == "ACTIVE" and
                            s["activePid"] != before["activePid"])
        self.assert_serves()
        lift()
        self.lab.wait_until("the guest runs", lambda: self.lab.describe("guest", "late")["status"]["state"] == "RUNNING")
        scenario.standby_ready(self.lab)
        self.assert_serves()

    def refuses_to_start(self):
        with self.assertRaises(RuntimeError) as raised:
            self.lab.start_daemon()
        self.assertIn("librettosd ended with 1", str(raised.exception))
        return str(raised.exception)

    def test_broken_state_file(self):
        file = next(path for path in self.state.iterdir() if path.name not in ("lock",) and path.is_file())
        self.lab.wait_until("all is written", lambda: b"guests/echo" in file.read_bytes())
        self.lab.kill_daemon()
        content = file.read_bytes()
        for broken, why in ((content[:len(content) // 2], "bytes instead of"), (b"", "no header line"),
                            (content[:-1] + bytes([content[-1] ^ 1]), "checksum is wrong")):
            file.write_bytes(broken)
            text = self.refuses_to_start()
            self.assertIn(why, text)
            self.assertIn("It was left as it is", text)
            self.assertEqual(file.read_bytes(), broken)
            self.assert_serves()
        file.write_bytes(content)
        # What a death in the middle of a write leaves.
        (file.parent / (file.name + ".new")).write_bytes(content[:100])
        self.lab.start_daemon()
        scenario.standby_ready(self.lab)
        self.assert_serves()

    def test_api_socket_removed(self):
        self.lab.socket.unlink()
        refused = self.lab.ctl("guest", "list", check=False, timeout="200ms")
        self.assertEqual(refused.returncode, 5, refused.stderr)
        self.lab.wait_until("the socket is there again", lambda: self.lab.ctl("guest", "list", check=False).returncode == 0)
        self.assertEqual(self.lab.socket.stat().st_mode & 0o777, 0o660)
        self.assertIn("was removed and is made anew", self.lab.log())

    def test_sockets_of_servers_removed(self):
        before = scenario.server_status(self.lab)
        for domain in (before["activeDomain"], before["standbyDomain"]):
            (self.lab.directory / "run" / "domains" / f"{domain}.sock").unlink()
        # Their connections stand, and a new daemon replaces whom it cannot reach.
        self.assertEqual(self.create("late", 100).returncode, 0)
        self.assert_serves()
        scenario.restart_daemon(self.lab)
        self.assertNotEqual(scenario.server_status(self.lab)["activePid"], before["activePid"])
        self.assert_serves()


if __name__ == "__main__":
    runner.main()
