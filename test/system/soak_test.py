"""Thousands of mode changes, deaths, hangs and upgrades with random pauses, under a download over a wire that loses, delays,
duplicates and reorders, and a numbered UDP stream over one that does not. What lives on does not grow.

LIBRETTOS_SOAK in the environment is the share of the whole that is done: 1 is 10,000 changes, 1,000 deaths, and 200 of each
other kind (half an hour); by default a tenth.
"""
import os
import random
import time
import unittest

from lib import runner, scenario
from lib.fault_cases import FaultCases
from lib.lab import Lab
from lib.link import Link
from lib.processes import memory_mib

SHARE = float(os.environ.get("LIBRETTOS_SOAK", 0.1))
# Of an event of mode changes there are two, one of each guest; and test_mode_changes does twice what it is told.
WHOLE = {"mode change": 2500, "server kill": 1000, "server hang": 200, "upgrade": 200, "daemon kill": 200}
WARM_UP = 5
LONGEST_WAIT_S = 0.05
MAX_GROWTH_MIB = 8
FEW = 3
WIRE = ("--loss", 2, "--duplicate", 2, "--reorder", 5, "--delay", 500, "--jitter", 300)


class SoakTest(FaultCases, unittest.TestCase):
    host = "far"

    @classmethod
    def setUpClass(cls):
        cls.random = random.Random(1)
        cls.lab = Lab().__enter__()
        cls.addClassCleanup(cls.lab.close)
        cls.sha256 = cls.lab.make_file("file", 16)
        cls.lab.start_daemon()
        scenario.build(cls.lab, cls.lab.files)
        link = Link(cls.lab, cls.host, 7, *WIRE)
        link.__enter__()
        cls.addClassCleanup(link.__exit__)

    def events(self, kind):
        return max(1, round(WHOLE[kind] * SHARE))

    def wait(self):
        time.sleep(self.random.uniform(0, LONGEST_WAIT_S))

    def held(self):
        """Of the daemon, if it has lived on, and of the guests: descriptors, mappings, memory."""
        processes = {guest: self.lab.describe("guest", guest)["status"]["pid"] for guest in (scenario.WEB, scenario.ECHO)}
        processes[f"daemon {self.lab.daemon.pid}"] = self.lab.daemon.pid
        found = {}
        for name, pid in processes.items():
            with open(f"/proc/{pid}/maps") as maps:
                found[name] = (len(os.listdir(f"/proc/{pid}/fd")), sum("memfd" in line for line in maps), memory_mib(pid)[0])
        return found

    def under_traffic(self, name, count, event):
        super().under_traffic(name + ", to warm up", min(count, 2 * WARM_UP), event)
        before = self.held()
        missing = super().under_traffic(name, count, event)
        for process, (descriptors, mappings, memory) in self.held().items():
            if process not in before:
                continue
            # A client may just have been connected.
            self.assertLessEqual(descriptors, before[process][0] + FEW, f"{process}: descriptors")
            self.assertLessEqual(mappings, before[process][1] + FEW, f"{process}: mappings")
            self.assertLess(memory - before[process][2], MAX_GROWTH_MIB, f"{process}: memory in MiB")
        return missing


if __name__ == "__main__":
    runner.main()
