"""A server does its worst to its guests (test/tools/hostile_server.cc). They go on, say what it did, and once the daemon has replaced it by
a good one, so do their connections."""
import shutil
import time
import unittest

from lib import runner, scenario
from lib.lab import Lab
from lib.streams import Downloads, UdpStream

LIMIT = "8M"  # So that a download lasts longer than any one server.
ATTACK = 2  # Seconds; its servers attack from 0.3 s on, once a second.
SHARED = "10.77.0.20"
WEB = scenario.ADDRESS[scenario.WEB][0]


class HostileServerTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = lab = Lab().__enter__()
        cls.addClassCleanup(lab.close)
        cls.sha256 = lab.make_file("file", 64)
        lab.start_daemon()
        scenario.build(lab, lab.files, "--shared", f"{SHARED}/24")
        lab.ctl("guest", "create", "sharer", "--server", scenario.SERVER, "--", "echo")

    def setUp(self):
        self.before = {name: self.guest(name) for name in scenario.ADDRESS}

    def guest(self, name):
        return self.lab.describe("guest", name)["status"]

    def image(self, mode):
        """A server's image that does so."""
        path = self.lab.directory / f"hostile-{mode}"
        if not path.exists():
            shutil.copy(self.lab.binary("test/tools/hostile_server"), path)
        return path

    def assert_guests_never_ended(self):
        for name, before in self.before.items():
            now = self.guest(name)
            self.assertEqual((now["domain"], now.get("restarts"), now["state"]), (before["domain"], before.get("restarts"), "RUNNING"),
                             f"{name}\n{self.lab.log()}{self.lab.domain_logs()}")

    def assert_is_said(self, reason):
        """Each guest says so of its server; for a moment at least, as there may be more to say."""
        silent, said = set(scenario.ADDRESS), set()

        def all_say():
            for name in [*silent]:
                message = self.guest(name).get("message", "")
                said.add(message)
                if f"its server broke the channel's rules: {reason}; " in message:
                    silent.remove(name)
            return not silent
        try:
            self.lab.wait_until(reason, all_say)
        except RuntimeError:
            self.fail(f"{silent} did not say {reason}, but: {said}\n{self.lab.domain_logs()}")

    def attack(self, mode, reason=None):
        """Under a download: the good server is replaced by a hostile one, and that by a good one. `reason`: what the guests say."""
        downloads = Downloads(self.lab, f"http://{WEB}/file", self.sha256, limit_rate=LIMIT)
        with downloads:
            scenario.upgrade(self.lab, self.image(mode))
            hostile = scenario.server_status(self.lab)["activeDomain"]
            end = time.monotonic() + ATTACK
            if reason:
                self.assert_is_said(reason)
            time.sleep(max(0, end - time.monotonic()))
            during = downloads.bytes
            scenario.upgrade(self.lab, self.lab.server_image)
            self.assertNotEqual(scenario.server_status(self.lab)["activeDomain"], hostile)
            self.lab.wait_until("the download goes on", lambda: downloads.bytes > during + (1 << 20) or downloads.failures)
        self.assertEqual(downloads.failures, [], f"{mode}\n{self.lab.log()}{self.lab.domain_logs()}")
        self.assertEqual(downloads.completed, 1, "it was to last from before the hostile server until after it")
        self.assert_guests_never_ended()
        for address in (scenario.ADDRESS[scenario.ECHO][0], SHARED):
            with UdpStream(self.lab, address) as stream:
                time.sleep(0.2)
                self.assertEqual(stream.mark()["missing"], 0, address)

    def test_impossible_entries(self):
        for mode, reason in (("index", "index-jump"), ("consumed", "index-jump"), ("slot", "bad-slot"), ("length", "bad-length"),
                             ("flags", "bad-flags"), ("offload", "bad-offload"), ("chain", "endless-chain"),
                             ("control", "bad-control")):
            with self.subTest(mode):
                self.attack(mode, reason)

    def test_what_the_guest_says_of_its_channel(self):
        self.attack("header", "bad-header")

    def test_leases_that_nobody_has(self):
        self.attack("leases")
        # It finds it when the next server has read them.
        self.assertIn("rules: bad-header; ", self.guest("sharer")["message"])

    def test_entries_that_change_while_they_are_read(self):
        self.attack("rewrite")

    def test_frames_that_lie(self):
        self.attack("lies")

    def test_event_storm(self):
        self.attack("events")

    def test_closed_and_opened_again(self):
        self.attack("reopen")

    def test_one_that_only_lives(self):
        self.attack("mute")


if __name__ == "__main__":
    runner.main()
