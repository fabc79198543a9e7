"""On Xen, with NICs passed through: modes change, servers are destroyed, hang and are upgraded, the daemon dies; under traffic."""
from lib import runner, scenario
from lib.fault_cases import FaultCases
from xen.case import XenTestCase


class XenFaultsTest(FaultCases, XenTestCase):
    @classmethod
    def prepare(cls):
        cls.sha256 = cls.lab.make_file("file", cls.lab.file_mib)
        cls.lab.start_daemon()
        scenario.build(cls.lab, cls.lab.files)


if __name__ == "__main__":
    runner.main()
