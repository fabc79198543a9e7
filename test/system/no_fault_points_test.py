"""The product holds no fault point, its builds for tests hold all, and docs/protocols.md names them."""
import re
import unittest

from lib import runner
from lib.fault_points import MAGIC, POINTS
from lib.lab import ROOT

PRODUCT = ["client/librettosctl", "daemon/librettosd", "guest/apps/guest", "guest/apps/image.elf", "netserver/server",
           "netserver/image.elf"]
WITH_POINTS = [f"test/system/{name}_with_fault_points" for name in ("server", "guest", "librettosd")]
NAMES = {name for names in POINTS.values() for name in names}


def names_in(path):
    """Points whose names are whole strings in a program."""
    content = (ROOT / path).read_bytes()
    return {name for name in NAMES if f"\0{name}\0".encode() in content}


class NoFaultPointsTest(unittest.TestCase):
    def test_the_product_has_none(self):
        for path in PRODUCT:
            self.assertEqual(names_in(path), set(), path)
            self.assertNotIn(MAGIC, (ROOT / path).read_bytes(), path)

    def test_the_builds_for_tests_have_all(self):
        self.assertEqual(set().union(*map(names_in, WITH_POINTS)), NAMES)

    def test_the_documentation_names_all(self):
        text = (ROOT / "docs/protocols.md").read_text()
        self.assertEqual(set(re.findall(r"`((?:server|guest|daemon)\.[a-z-]+)`", text)), NAMES)


if __name__ == "__main__":
    runner.main()
