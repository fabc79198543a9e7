"""What the tests in the Xen lab have in common: one lab for each class, skipped with the reason where it cannot run."""
import sys
import unittest

from xen import lab as xen


class XenTestCase(unittest.TestCase):
    """`cls.lab` is up. If a method fails, the lab's logs are kept and said where."""
    nics = xen.NIC_MODELS

    @classmethod
    def setUpClass(cls):
        reason = xen.missing()
        if reason:
            raise unittest.SkipTest(f"no Xen lab here: {reason}")
        cls.lab = xen.XenLab(nics=cls.nics).__enter__()
        cls.addClassCleanup(cls.lab.close)
        try:
            cls.prepare()
        except BaseException:
            print(f"logs: {cls.lab.collect()}", file=sys.stderr)
            raise

    @classmethod
    def prepare(cls):
        """What the whole class needs in the lab."""

    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            print(f"logs: {self.lab.collect()}", file=sys.stderr)
        return result
