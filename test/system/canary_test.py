"""What passes for one guest is readable by no other: a canary goes through it, and guests that look at all that they can see
(test/tools/inspector.cc) do not find it; nor does it stand behind anybody's frames on the wire."""
import json
import pathlib
import re
import signal
import subprocess
import unittest

from lib import runner, scenario
from lib.canary import fill
from lib.lab import Lab

CANARY, OWN = "c55aca91", "0b7e33d6"
SHARED = "10.77.0.20"
INSPECTOR, INSPECTOR_IP = "inspector", "10.77.0.13"
BROADCAST = "10.77.0.255"
WEB, ECHO = (scenario.ADDRESS[name][0] for name in (scenario.WEB, scenario.ECHO))
HELPER = pathlib.Path(__file__).absolute().parents[1] / "lib" / "canary.py"


class CanaryTest(unittest.TestCase):
    def setUp(self):
        self.lab = lab = Lab().__enter__()
        self.addCleanup(lab.close)
        lab.spare_nics = ("wire1",)
        files = lab.directory / "files"
        files.mkdir()
        (files / "file").write_bytes(fill(bytes.fromhex(CANARY), 1 << 20))
        lab.start_daemon()
        scenario.build(lab, files, "--shared", f"{SHARED}/24")
        lab.ctl("guest", "create", "sharer", "--server", scenario.SERVER, "--", "echo")
        self.inspect(INSPECTOR, "--address", f"{INSPECTOR_IP}/24")
        self.inspect("inspector-on-shared-address")

    def inspect(self, name, *options, keep=()):
        self.lab.ctl("guest", "create", name, "--server", scenario.SERVER, "--image", self.lab.binary("test/tools/inspector"),
                     *options, "--", CANARY, OWN, *keep)
        self.addCleanup(self.lab.ctl, "guest", "delete", name, check=False)

    def said(self):
        """What all inspectors have logged, by file."""
        return {path.name: path.read_text() for path in self.lab.directory.glob("log/*inspector*") if path.exists()}

    def assert_nothing_is_found(self):
        """Each inspector that runs has looked at everything since now, and none has ever found anything."""
        def looks():
            return {name: len(re.findall("looked", text)) for name, text in self.said().items()}
        before = looks()
        ids = {f"{guest['status']['domain']}-" for guest in json.loads(self.lab.ctl("-o", "json", "guest", "list").stdout)["guests"]
               if "inspector" in guest["spec"].get("image", "") and guest["status"].get("domain")}
        self.lab.wait_until("all inspectors have looked", lambda: all(
            count >= before.get(name, 0) + 2 for name, count in looks().items() if any(name.startswith(id) for id in ids)))
        for name, text in self.said().items():
            self.assertNotIn("FOUND", text, name)

    def send(self, word, *addresses, port=7):
        return self.lab.client("python3", HELPER, "send", word, port, *addresses).stdout.split()

    def pass_secrets(self):
        """The canary goes to and comes from the guests that it is for."""
        got = self.lab.client("sh", "-c", f"curl -sS --fail --max-time 60 http://{WEB}/file | md5sum").stdout
        want = subprocess.run(["md5sum"], input=(self.lab.directory / "files" / "file").read_bytes(), capture_output=True, check=True)
        self.assertEqual(got, want.stdout.decode())
        self.assertEqual(self.send(CANARY, ECHO, SHARED), sorted([ECHO, SHARED]))

    def assert_own_is_seen(self):
        self.send(OWN, BROADCAST, INSPECTOR_IP)
        self.lab.wait_until("the inspector finds what is its own", lambda: "has what was sent to it" in "".join(self.said().values()))

    def test_through_all_that_can_happen(self):
        lab = self.lab
        sniffer = lab.client_start("python3", HELPER, "sniff", CANARY, WEB, ECHO, SHARED, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.assertEqual(sniffer.stdout.readline(), "ready\n")
        for event in (lambda: None, lambda: scenario.replace_server(lab), lambda: scenario.upgrade(lab, lab.server_image),
                      lambda: scenario.restart_daemon(lab), lambda: scenario.set_mode(lab, scenario.WEB, "direct"),
                      lambda: scenario.set_mode(lab, scenario.WEB, "server")):
            event()
            self.pass_secrets()
            self.assert_nothing_is_found()
        self.assert_own_is_seen()
        seen = json.loads(sniffer.communicate()[0])
        self.assertGreater(seen["short"], 10)
        self.assertEqual((seen["padded"], seen["strays"]), ([], []))

    def test_whoever_comes_after_a_guest(self):
        for _ in range(3):
            self.pass_secrets()
            for name in (scenario.ECHO, "sharer"):
                self.lab.ctl("guest", "delete", name)
            self.inspect("next-inspector", "--address", "10.77.0.14/24")
            self.assert_nothing_is_found()
            self.lab.ctl("guest", "delete", "next-inspector")
            self.lab.ctl("guest", "create", scenario.ECHO, "--server", scenario.SERVER, "--address", f"{ECHO}/24", "--", "echo")
            self.lab.ctl("guest", "create", "sharer", "--server", scenario.SERVER, "--", "echo")

    def test_whoever_has_its_nic_after_a_guest(self):
        lab = self.lab
        scenario.set_mode(lab, scenario.ECHO, "direct")
        self.assertEqual(self.send(CANARY, ECHO), [ECHO])
        pid = lab.describe("guest", scenario.ECHO)["status"]["pid"]
        lab.end_domain(pid, signal.SIGSTOP)  # What comes now, waits.
        self.assertEqual(self.send(CANARY, ECHO), [])
        lab.ctl("guest", "delete", scenario.ECHO)
        scenario.set_mode(lab, INSPECTOR, "direct")
        self.assert_nothing_is_found()
        self.send(OWN, BROADCAST)
        lab.wait_until("the NIC receives", lambda: "its NIC has what was sent to it" in "".join(self.said().values()))
        scenario.set_mode(lab, INSPECTOR, "server")
        self.assert_nothing_is_found()

    def test_a_nic_that_is_given_back_and_kept(self):
        lab = self.lab
        self.inspect("inspector-that-keeps", "--address", "10.77.0.14/24", keep=("keep",))
        scenario.set_mode(lab, "inspector-that-keeps", "direct")
        scenario.set_mode(lab, "inspector-that-keeps", "server")
        lab.wait_until("it is said", lambda: "gives NIC wire1 back and keeps it open" in lab.log(lines=1000))
        refused = lab.ctl("guest", "set-mode", scenario.ECHO, "direct", "--nic", "wire1", check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("nics/wire1", refused.stderr)
        self.assert_nothing_is_found()
        lab.ctl("guest", "delete", "inspector-that-keeps")
        scenario.set_mode(lab, scenario.ECHO, "direct")
        self.pass_secrets()
        self.assert_nothing_is_found()


if __name__ == "__main__":
    runner.main()
