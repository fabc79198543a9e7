"""Who may do what: operators everything, viewers may look, nobody else gets in; and who did it is in the log."""
import grp
import os
import shutil
import unittest

from lib import runner, scenario
from lib.lab import Lab, run

DENIED, NOT_FOUND = 7, 3
OPERATORS, VIEWERS, OTHERS = grp.getgrgid(60).gr_name, grp.getgrgid(100).gr_name, grp.getgrgid(12).gr_name
USER = 4711


class AccessTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = Lab().__enter__()
        cls.addClassCleanup(cls.lab.close)
        cls.lab.start_daemon(f"--socket_group={OPERATORS}", f"--viewer_group={VIEWERS}")
        files = cls.lab.directory / "files"
        files.mkdir()
        scenario.build(cls.lab, files)
        # Where a user without any right can execute it.
        cls.client = shutil.copy(cls.lab.binary("client/librettosctl"), cls.lab.directory / "librettosctl")
        os.chmod(cls.client, 0o755)

    def as_member(self, group, *command, supplementary=()):
        number = str(grp.getgrnam(group).gr_gid)
        groups = ",".join(str(grp.getgrnam(name).gr_gid) for name in supplementary)
        return run("setpriv", f"--reuid={USER}", f"--regid={number}", f"--groups={groups}" if groups else "--clear-groups",
                   self.client, "-s", self.lab.socket, *command, check=False)

    def audit(self, request):
        """The audit line of a request, as a dictionary."""
        lines = [line for line in self.lab.log(1000).splitlines() if line.startswith("audit ") and f"request_id={request} " in line]
        self.assertEqual(len(lines), 1, f"audit lines of {request}:\n{self.lab.log()}")
        return dict(word.split("=", 1) for word in lines[0].split() if "=" in word)

    def test_viewers_may_look(self):
        for command in (("guest", "list"), ("guest", "describe", "web"), ("server", "list"), ("nic", "list"), ("operation", "list"),
                        ("channel", "list"), ("stats", "guests/web")):
            done = self.as_member(VIEWERS, *command)
            self.assertEqual(done.returncode, 0, f"{command}: {done.stderr}")

    def test_viewers_may_not_change(self):
        before = self.lab.ctl("-o", "json", "guest", "list").stdout
        for command in (("guest", "create", "g", "--server", scenario.SERVER, "--", "echo"), ("guest", "delete", "web"),
                        ("guest", "set-mode", "web", "direct"), ("nic", "create", "n", "--tap", "n0"), ("nic", "delete", "wire0"),
                        ("server", "create", "s", "--nic", "wire0"), ("server", "delete", scenario.SERVER),
                        ("server", "upgrade", scenario.SERVER), ("server", "fail", scenario.SERVER)):
            done = self.as_member(VIEWERS, *command)
            self.assertEqual(done.returncode, DENIED, f"{command}: {done.stdout}{done.stderr}")
            self.assertIn(f"user {USER}", done.stderr)
            self.assertIn(OPERATORS, done.stderr, "what to do")
        self.assertEqual(self.lab.ctl("-o", "json", "guest", "list").stdout, before)

    def test_operators_may_change(self):
        for member in ({"group": OPERATORS}, {"group": OTHERS, "supplementary": [VIEWERS, OPERATORS]}):
            done = self.as_member(member["group"], "nic", "delete", "nosuch", supplementary=member.get("supplementary", ()))
            self.assertEqual(done.returncode, NOT_FOUND, f"{member}: {done.stderr}")

    def test_others_do_not_get_in(self):
        done = self.as_member(OTHERS, "guest", "list")
        self.assertEqual(done.returncode, DENIED, done.stderr)

    def test_changes_and_refusals_are_audited(self):
        self.as_member(OPERATORS, "nic", "delete", "nosuch", "--request-id", "by-operator")
        self.as_member(VIEWERS, "nic", "delete", "wire0", "--request-id", "by-viewer")
        self.lab.ctl("nic", "create", "mine", "--tap", "mine0", "--netns", f"/run/netns/{self.lab.namespace('wire')}",
                     "--request-id", "by-root")
        self.lab.ctl("nic", "delete", "mine")
        expected = {"by-operator": (str(USER), "DeleteNic", "nics/nosuch", "NOT_FOUND", "NO_SUCH_RESOURCE"),
                    "by-viewer": (str(USER), "DeleteNic", "nics/wire0", "PERMISSION_DENIED", "ROLE_TOO_LOW"),
                    "by-root": ("0", "CreateNic", "nics/mine", "OK", "none")}
        for request, what in expected.items():
            line = self.audit(request)
            self.assertEqual(tuple(line[key] for key in ("uid", "method", "resource", "result", "reason")), what)
            self.assertGreater(int(line["pid"]), 1)


if __name__ == "__main__":
    runner.main()
