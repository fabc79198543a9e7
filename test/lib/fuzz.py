#!/usr/bin/env python3
"""Runs libFuzzer binaries on their corpora and says how it went, also as JUnit; see test/fuzz.sh."""
import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
from pathlib import Path

MAX_BYTES = 4096  # Of an input: inputs bound the steps.
TIMEOUT_S = 10  # Of one input: anything longer is a hang. Wide, as machines are shared.
MEMORY_MIB = 2048
ENVIRONMENT = {**os.environ, "UBSAN_OPTIONS": "print_stacktrace=1"}


def inputs(directory):
    """Yields (name, bytes) for each input of a corpus; the format is that of bazel/corpus_main.cc."""
    for file in sorted(directory.iterdir()):
        if file.suffix != ".hex":
            yield file.name, file.read_bytes()
            continue
        for number, line in enumerate(file.read_text().splitlines(), 1):
            data = bytes.fromhex(line.split("#")[0])
            if data:
                yield f"{file.stem}-{number}", data


def corpus_of(label):
    package, name = label.removeprefix("//").split(":")
    return Path(package) / "testdata" / (name.removesuffix("_fuzz") + "_corpus")


def binary_of(directory, label):
    package, name = label.removeprefix("//").split(":")
    return Path(directory, package, name)


def dictionary_of(label):
    return corpus_of(label).parent / (label.split(":")[1].removesuffix("_fuzz") + ".dict")


def run(binary, label, seconds):
    """Returns (executions, finding as text or None)."""
    # In memory if that is possible. What the fuzzer itself leaves there goes with it.
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=memory) as work:
        seeds, found = Path(work, "seeds"), Path(work, "found")
        seeds.mkdir()
        found.mkdir()
        for name, data in inputs(corpus_of(label)):
            (seeds / name).write_bytes(data)
        command = [binary, f"-timeout={TIMEOUT_S}", f"-rss_limit_mb={MEMORY_MIB}"]
        words = dictionary_of(label)
        if words.exists():
            command.append(f"-dict={words}")
        # What the code under test logs goes nowhere; the fuzzer's own words come.
        process = subprocess.run(
            command + [f"-max_total_time={seconds}", f"-max_len={MAX_BYTES}", "-print_final_stats=1",
                       "-close_fd_mask=2", f"-artifact_prefix={work}/artifact-", found, seeds],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace",
            env={**ENVIRONMENT, "TMPDIR": work})
        executions = re.search(r"number_of_executed_units: *(\d+)", process.stderr)
        executions = int(executions[1]) if executions else 0
        if process.returncode == 0 and executions == 0:
            return 0, "the fuzzer ran nothing:\n" + process.stderr[-2000:]
        if process.returncode == 0:
            return executions, None
        text = process.stderr[-4000:]
        for file in sorted(Path(work).glob("artifact-*")):
            data = file.read_bytes().hex()
            with open("findings.hex", "a") as findings:
                findings.write(f"# {label}\n{data}\n")
            # Once more, for what the code under test says itself.
            again = subprocess.run(command + [file], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                   errors="replace", env={**ENVIRONMENT, "TMPDIR": work})
            text = again.stderr[:8000] + f"\ninput: {data}\n"
        return executions, text


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--instead", nargs=2, metavar=("skipped|failure", "WHY"))  # Runs nothing.
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=2 * os.cpu_count())
    parser.add_argument("--junit")
    parser.add_argument("--binaries")
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--only", nargs="*")
    arguments = parser.parse_args()
    suite, failed = xml.Element("testsuite", name="fuzz"), 0
    if arguments.instead:
        case = xml.SubElement(suite, "testcase", classname="fuzz", name="all")
        xml.SubElement(case, arguments.instead[0], message=arguments.instead[1])
        failed += arguments.instead[0] == "failure"
    labels = [label for label in arguments.targets if not arguments.only or label.split(":")[1] in arguments.only]
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        runs = {label: pool.submit(run, binary_of(arguments.binaries, label), label, arguments.seconds) for label in labels}
        for label, future in runs.items():
            executions, finding = future.result()
            print(f"fuzz: {label}: {executions} executions in {arguments.seconds} s{': FINDING' if finding else ''}",
                  flush=True)
            case = xml.SubElement(suite, "testcase", classname="fuzz", name=label)
            if finding:
                failed += 1
                print(finding, flush=True)
                xml.SubElement(case, "failure")
    if arguments.junit:
        xml.ElementTree(suite).write(arguments.junit)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
