"""unittest.main for Bazel: also writes the JUnit file that Bazel names, one entry for each test method."""
import os
import sys
import time
import unittest
import xml.etree.ElementTree as xml


class _Result(unittest.TextTestResult):
    def startTest(self, test):
        super().startTest(test)
        self._begin = time.monotonic()
        sys.stderr.flush()

    def stopTest(self, test):
        super().stopTest(test)
        self.durations = getattr(self, "durations", {})
        self.durations[test.id()] = time.monotonic() - self._begin


def _write_junit(result, path):
    bad = {test.id(): text for test, text in result.failures + result.errors}
    skipped = {test.id(): reason for test, reason in result.skipped}
    suite = xml.Element("testsuite", name=os.path.basename(sys.argv[0]))
    durations = getattr(result, "durations", {})
    for name in sorted({*durations, *bad, *skipped}):
        case = xml.SubElement(suite, "testcase", name=name, time=f"{durations.get(name, 0):.3f}")
        if name in bad:
            xml.SubElement(case, "failure").text = bad[name]
        elif name in skipped:
            xml.SubElement(case, "skipped", message=skipped[name])
    root = xml.Element("testsuites")
    root.append(suite)
    xml.ElementTree(root).write(path, encoding="unicode", xml_declaration=True)


def main():
    names = os.environ.get("TESTBRIDGE_TEST_ONLY")  # bazel test --test_filter=Class.method
    suite = unittest.defaultTestLoader.loadTestsFromName(names, sys.modules["__main__"]) if names else \
        unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    result = unittest.TextTestRunner(verbosity=2, resultclass=_Result).run(suite)
    if os.environ.get("XML_OUTPUT_FILE"):
        _write_junit(result, os.environ["XML_OUTPUT_FILE"])
    sys.exit(0 if result.wasSuccessful() else 1)
