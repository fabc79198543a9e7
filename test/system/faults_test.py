"""Changes, deaths and upgrades under traffic."""
import unittest

from lib import runner, scenario
from lib.fault_cases import FaultCases
from lib.lab import Lab


class FaultsTest(FaultCases, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = Lab().__enter__()
        cls.addClassCleanup(cls.lab.close)
        cls.sha256 = cls.lab.make_file("file", cls.lab.file_mib)
        cls.lab.start_daemon()
        scenario.build(cls.lab, cls.lab.files)

    def test_upgrades_to_a_server_that_never_becomes_healthy(self):
        unhealthy = self.lab.binary("netserver/unhealthy_server")

        def upgrade(_):
            before = scenario.server_status(self.lab)
            done = scenario.upgrade(self.lab, unhealthy, check=False, health_timeout="300ms")
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("healthy", done.stderr)
            self.assertEqual(scenario.server_status(self.lab)["activePid"], before["activePid"])
        self.assertEqual(self.under_traffic("failing upgrade", 3, upgrade), 0)


if __name__ == "__main__":
    runner.main()
