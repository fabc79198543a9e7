"""Wrong input to every command: the right exit status, a useful text, nothing changed."""
import json
import re
import unittest

from lib import runner, scenario
from lib.lab import Lab

USAGE, NOT_FOUND, CONFLICT, UNAVAILABLE = 2, 3, 4, 5


class ErrorsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = Lab().__enter__()
        cls.addClassCleanup(cls.lab.close)
        cls.lab.start_daemon()
        files = cls.lab.directory / "files"
        files.mkdir()
        scenario.build(cls.lab, files)
        cls.lab.ctl("nic", "create", "spare", "--tap", "spare0", "--netns", f"/run/netns/{cls.lab.namespace('wire')}")

    def snapshot(self):
        state = {}
        for noun in ("server", "guest", "nic"):
            reply = json.loads(self.lab.ctl("-o", "json", noun, "list").stdout)
            for items in reply.values() if isinstance(reply, dict) else [reply]:
                for item in items if isinstance(items, list) else []:
                    state[item["name"]] = (item["spec"], item["etag"])
        return state

    def refuse(self, code, text, *command):
        before = self.snapshot()
        done = self.lab.ctl(*command, check=False)
        self.assertEqual(done.returncode, code, f"{command}: {done.stdout}{done.stderr}")
        self.assertIn(text, done.stderr, f"{command}")
        self.assertTrue(done.stderr.startswith("librettosctl: "), done.stderr)
        self.assertEqual(self.snapshot(), before, f"{command} changed something")

    def test_each_command(self):
        """Every command that there is, with everything that its options and its name can have wrong."""
        self.lab.ctl("guest", "set-mode", "web", "server")  # Leaves an operation.
        operation = self.lab.ctl("-o", "name", "operation", "list").stdout.split()[0]
        channel = self.lab.ctl("-o", "name", "channel", "list").stdout.split()[0]
        own = {"server": scenario.SERVER, "guest": "web", "nic": "wire0", "channel": channel, "operation": operation}
        # What makes each command complete, after its name.
        rest = {"server create": ["--nic", "spare"], "guest create": ["--server", scenario.SERVER, "--address", "10.77.0.50/24", "--", "echo"],
                "guest set-mode": ["direct"], "nic create": ["--tap", "new0"]}
        nameless = {"version", "completion bash", "stats", *(f"{noun} list" for noun in own)}
        wrong_names = {"nosuch": NOT_FOUND, "we_b": USAGE, "": USAGE}
        wrong_options = {"--request-id": ["two words", "x" * 65], "--deadline": ["-1s", "1000000h", "x", "5"],
                         "--hang-timeout": ["-1s", "1000000h", "x"], "--health-timeout": ["-1s", "1000000h", "x"], "--interval": ["-1s", "x"],
                         "--count": ["-1", "x"], "--nic": ["a_b"], "--server": ["a_b"], "--address": ["x"], "--shared": ["x"],
                         "--gateway4": ["x"], "--gateway6": ["x"], "--mac": ["x"], "--queue-pairs": ["9", "x"], "--image": ["/nonexistent"],
                         "--files": ["/nonexistent"], "--restart": ["sometimes"], "--tap": ["sixteen-letters-"], "--netns": ["relative"],
                         "--bridge": ["a/b"], "--guest": ["a_b"], "--pci": ["x", "0000:03:00.0"], "--standby-nic": ["a_b"],
                         "--memory-mib": ["64", "x"], "--vcpus": ["2", "x"]}  # Right ones of Xen's are wrong for processes.
        any_value = {"--help", "--watch", "--wait", "--no-wait", "--standby", "--no-standby"}
        for command, options in self.commands().items():
            with self.subTest(command):
                words = command.split()
                create = words[-1] == "create"
                named = words + ([] if command in nameless else ["new" if create else own[words[0]]])
                tail = rest.get(command, [])
                self.refuse(USAGE, "--frob", *named, "--frob", *tail)
                if command != "stats":  # Whose name may be left out.
                    self.refuse(USAGE, "usage", *named, "surplus", "surplus", *tail)
                if command not in nameless:
                    self.refuse(USAGE, "NAME", *words)
                    for name, code in wrong_names.items():
                        if words[0] == "channel" and name:
                            code = USAGE  # Neither is a channel's name.
                        if not (create and code == NOT_FOUND):
                            self.refuse(code, "name" if code == USAGE else name, *words, name, *tail)
                for option in options:
                    if option == "--etag":
                        self.refuse(CONFLICT, "etag", *named, option, "stale", *tail)
                    elif option not in any_value:
                        self.assertIn(option, wrong_options, f"{command}: an option without a wrong value here")
                        for value in wrong_options[option]:
                            needed = tail
                            if option in tail:  # Instead of the right one.
                                needed = tail[:tail.index(option)] + tail[tail.index(option) + 2:]
                            self.refuse(USAGE, "librettosctl", *named, f"{option}={value}", *needed)

    def commands(self):
        """All that the program has, by its own account, with their options."""
        script = self.lab.ctl("completion", "bash").stdout
        found = dict(re.findall(r"^    '([^']*)'\) words='([^']*)'", script, re.MULTILINE))
        leaves = {path: words.split() for path, words in found.items() if path and not any(other.startswith(path + " ") for other in found)}
        self.assertGreater(len(leaves), 15)
        return {path: [word for word in words if word.startswith("--")] for path, words in leaves.items()}

    def test_unknown_names(self):
        for noun in ("server", "guest", "nic", "operation"):
            self.refuse(NOT_FOUND, "nosuch", noun, "describe", "nosuch")
        for noun in ("server", "guest", "nic"):
            self.refuse(NOT_FOUND, "nosuch", noun, "delete", "nosuch")
        self.refuse(NOT_FOUND, "nosuch", "guest", "set-mode", "nosuch", "direct")
        self.refuse(NOT_FOUND, "nosuch", "server", "upgrade", "nosuch")
        self.refuse(NOT_FOUND, "nosuch", "server", "fail", "nosuch")
        self.refuse(NOT_FOUND, "nosuch", "stats", "guests/nosuch")
        self.refuse(NOT_FOUND, "nosuch", "guest", "create", "g", "--server", "nosuch", "--", "echo")
        self.refuse(NOT_FOUND, "nosuch", "server", "create", "s", "--nic", "nosuch")

    def test_malformed_names(self):
        for name in ("Web", "1web", "web-", "we_b", "a" * 64, "a/b/c"):
            self.refuse(USAGE, "name", "guest", "create", name, "--server", scenario.SERVER, "--", "echo")
            self.refuse(USAGE, "name", "nic", "create", name, "--tap", "x0")
            self.refuse(USAGE, "name", "server", "create", name, "--nic", "spare")

    def test_duplicates(self):
        self.refuse(CONFLICT, "exists", "guest", "create", "web", "--server", scenario.SERVER, "--", "echo")
        self.refuse(CONFLICT, "exists", "server", "create", scenario.SERVER, "--nic", "spare")
        self.refuse(CONFLICT, "exists", "nic", "create", "spare", "--tap", "other0")

    def test_addresses(self):
        create = ("guest", "create", "g", "--server", scenario.SERVER)
        self.refuse(CONFLICT, "10.77.0.11", *create, "--address", "10.77.0.11/24", "--", "echo")
        self.refuse(CONFLICT, "fd77::11", *create, "--address", "fd77:0::11/64", "--", "echo")
        for address in ("10.77.0.300/24", "10.77.0.5/33", "10.77.0.5", "fd77::/129", "::1/128", "224.0.0.1/24", "0.0.0.0/0", "x"):
            self.refuse(USAGE, address.split("/")[0], *create, "--address", address, "--", "echo")
        self.refuse(USAGE, "mac", *create, "--address", "10.77.0.50/24", "--mac", "ff:ff:ff:ff:ff:ff", "--", "echo")
        self.refuse(USAGE, "gateway", *create, "--address", "10.77.0.50/24", "--gateway4", "10.99.0.1", "--", "echo")

    def test_nics(self):
        self.refuse(CONFLICT, "net0", "server", "create", "other", "--nic", "wire0")
        self.refuse(CONFLICT, "net0", "nic", "delete", "wire0")
        self.refuse(CONFLICT, "net0", "guest", "set-mode", "web", "direct", "--nic", "wire0")
        self.refuse(CONFLICT, "nosuch", "nic", "create", "gone", "--tap", "gone0", "--netns", "/run/netns/nosuch")
        self.refuse(USAGE, "interface", "nic", "create", "bad", "--tap", "a-name-much-too-long")

    def test_server_in_use(self):
        self.refuse(CONFLICT, "guests/", "server", "delete", scenario.SERVER)

    def test_direct_mode_needs_an_own_address(self):
        self.lab.ctl("nic", "create", "wire7", "--tap", "wire7", "--netns", f"/run/netns/{self.lab.namespace('wire')}")
        self.lab.ctl("server", "create", "net7", "--nic", "wire7", "--shared", "10.78.0.2/24")
        self.lab.ctl("guest", "create", "sharer", "--server", "net7", "--", "echo")
        self.refuse(CONFLICT, "share", "guest", "set-mode", "sharer", "direct")
        self.lab.ctl("guest", "delete", "sharer")
        self.lab.ctl("server", "delete", "net7")
        self.lab.ctl("nic", "delete", "wire7")

    def test_stale_etag(self):
        self.refuse(CONFLICT, "etag", "guest", "delete", "web", "--etag", "stale")

    def test_request_id(self):
        create = ("guest", "create", "again", "--server", scenario.SERVER, "--address", "10.77.0.60/24", "--request-id", "one")
        self.lab.ctl(*create, "--", "echo")
        self.lab.ctl(*create, "--", "echo")  # The same request: the first one's result.
        self.refuse(CONFLICT, "one", "guest", "create", "another", "--server", scenario.SERVER, "--request-id", "one", "--", "echo")
        self.lab.ctl("guest", "delete", "again")

    def test_usage(self):
        for command in (["frob"], ["guest"], ["guest", "frob"], ["guest", "set-mode", "web", "sideways"],
                        ["guest", "create"], ["server", "create", "x"], ["-o", "yaml", "guest", "list"]):
            done = self.lab.ctl(*command, check=False)
            self.assertEqual(done.returncode, USAGE, f"{command}: {done.stdout}{done.stderr}")
            self.assertTrue(done.stderr, command)

    def test_oversized(self):
        self.refuse(1, "larger than max", "guest", "create", "big", "--server", scenario.SERVER, "--", "echo",
                    *(["x" * 100000] * 15))

    def test_no_daemon(self):
        done = self.lab.client(self.lab.binary("client/librettosctl"), "-s", "/nonexistent/socket", "guest", "list", check=False)
        self.assertEqual(done.returncode, UNAVAILABLE, done.stderr)
        self.assertIn("/nonexistent/socket", done.stderr)


if __name__ == "__main__":
    runner.main()
