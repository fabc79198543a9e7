#!/usr/bin/env python3
"""The Xen lab for people. As root.

  shell.py                    boots it and gives a shell in domain 0; the lab ends with the shell
  shell.py COMMAND            boots it and runs a shell command in domain 0; exits with its status
  shell.py --stay             boots it and stays up until Ctrl-C

While it runs, /run/librettos-lab/<pid>/ has `dom0` and `client`, which run their arguments there, and console.log.
"""
import argparse
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from xen import lab as xen  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stay", action="store_true", help="stay up until Ctrl-C")
    parser.add_argument("--seconds", type=int, default=3600, help="ends after so long, whatever happens (%(default)s)")
    parser.add_argument("--install", action="store_true", help="with what was built last, and the daemon started")
    parser.add_argument("--put", action="append", default=[], metavar="FILE=PATH", help="copy a file into domain 0 first")
    parser.add_argument("--log", action="store_true", help="print the console of Xen and domain 0 at the end")
    parser.add_argument("command", nargs="*")
    options = parser.parse_args()
    reason = xen.missing()
    if reason:
        sys.exit(f"no Xen lab here: {reason}")
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, lambda *_: sys.exit(143))
    signal.alarm(options.seconds)
    built = xen.ROOT / ".bazel/bin"
    with xen.XenLab(binaries=built if built.exists() else None) as lab:
        print(f"Xen is up after {lab.boot_seconds:.0f} s: {lab.directory}/dom0 COMMAND, {lab.directory}/client COMMAND, "
              f"{lab.directory}/console.log", file=sys.stderr, flush=True)
        if options.install:
            lab.start_daemon()
        for pair in options.put:
            lab.put(*pair.split("=", 1))
        if options.stay:
            while not lab.machine.ended():
                time.sleep(1)
            return 1
        argv = lab.dom0_command(" ".join(options.command))
        if not options.command:
            argv[-1:] = [] if not sys.stdin.isatty() else ["-t"]
        status = subprocess.run(argv).returncode
        if options.log:
            print(lab.console(200), file=sys.stderr)
        return status


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
