#!/usr/bin/env python3
"""Counts test cases from Bazel's build event files, and from JUnit files of others: `summary.py EVENTS.json … OTHERS.xml …`.

Prints what failed and what was skipped with its reason; the last line is `N passed, N failed`, with `, N skipped` if any.
A test target without a readable result, and a target that could not be built, count as one failed case each.
"""
import json
import pathlib
import sys
import urllib.parse
import xml.etree.ElementTree as xml


def cases(path):
    """Yields (name, outcome, text) for each case in a JUnit file."""
    for case in xml.parse(path).getroot().iter("testcase"):
        name = ".".join(filter(None, (case.get("classname"), case.get("name"))))
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            yield name, "failed", ""
        elif skipped is not None or case.get("result") == "skipped" or case.get("status") == "notrun":
            yield name, "skipped", (skipped.get("message") or skipped.text or "") if skipped is not None else ""
        else:
            yield name, "passed", ""


def targets(events_file):
    """Yields (label, status, JUnit path or None) for each tested target, and failed builds with status "BUILD"."""
    files, results = {}, {}
    with open(events_file) as events:
        for line in events:
            event = json.loads(line)
            label = event.get("id", {}).get("testResult", {}).get("label")
            if label:
                for output in event["testResult"].get("testActionOutput", []):
                    if output["name"] == "test.xml" and output.get("uri", "").startswith("file://"):
                        files[label] = urllib.parse.unquote(output["uri"][len("file://"):])
            if "testSummary" in event.get("id", {}):
                results[event["id"]["testSummary"]["label"]] = event["testSummary"]["overallStatus"]
            # What is for bare metal only is skipped here: the images bring it in as they are built.
            skipped = event.get("aborted", {}).get("reason") == "SKIPPED"
            if "targetCompleted" in event.get("id", {}) and not event.get("completed", {}).get("success") and not skipped:
                results.setdefault(event["id"]["targetCompleted"]["label"], "BUILD")
    for label, status in results.items():
        yield label, status, files.get(label)


def main(paths):
    count = {"passed": 0, "failed": 0, "skipped": 0}
    for path in paths:
        events = path.endswith(".json")
        for label, status, junit in targets(path) if events else [(pathlib.Path(path).stem, "PASSED", path)]:
            try:
                found = list(cases(junit)) if junit else []
            except (OSError, xml.ParseError):
                found = [] if events else [("no readable result", "failed", "")]
            if status not in ("PASSED", "FLAKY") and not any(outcome == "failed" for _, outcome, _ in found):
                found.append((status.lower(), "failed", ""))
            for name, outcome, text in found:
                count[outcome] += 1
                if outcome != "passed":
                    print(f"{outcome}: {label} {name}{': ' + text.strip() if text.strip() else ''}")
    skipped = f", {count['skipped']} skipped" if count["skipped"] else ""
    print(f"{count['passed']} passed, {count['failed']} failed{skipped}")
    return 0 if count["failed"] == 0 and count["passed"] > 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
