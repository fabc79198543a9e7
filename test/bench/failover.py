"""Where the time of a failover goes: from the kill of the active server to the first frame that its standby forwards.

    bazel run //test/bench:failover -- [--events N] [--guests N,N...]        as root

A numbered UDP stream runs through one guest while the server is killed again and again, beside as many other, silent, guests. Times
in microseconds on one clock: the kill; `ended`: the dead server's pidfd is readable, seen here (its memory is unmapped by then);
`noticed`: by the daemon's loop; `told`: the daemon has written the role; `seen`: by the standby; `active`: the standby has taken up all
channels; `frame`: the first echo after that, with the stream's own round trip. Each column is the step to that point from the
one before, `total` all of them; `pause` what the client sees of all
that: from sending what came first after it, or should have come before, to its arrival.
"""
import argparse
import os
import re
import select
import time

import guests
from lib import scenario
from lib.lab import Lab, run
from lib.streams import UdpStream, percentile

QUIET = 0.3  # Seconds in which nothing of the benchmark itself runs but the stream.
STEPS = ("ended", "noticed", "told", "seen", "active", "frame")


def realtime_offset_us():
    """CLOCK_REALTIME minus CLOCK_MONOTONIC."""
    return (time.time_ns() - time.monotonic_ns()) / 1e3


def fields(text, pattern):
    """The numbers of the last line that matches."""
    return [int(number) for number in re.findall(pattern, text)[-1]]


def kill_once(lab, stream):
    """One failover; times of the kill and of each step, and the pause."""
    before = scenario.server_status(lab)
    descriptor = os.pidfd_open(before["activePid"])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    times = [time.monotonic_ns() / 1e3]
    os.kill(before["activePid"], 9)
    poll.poll()
    times.append(time.monotonic_ns() / 1e3)
    os.close(descriptor)
    time.sleep(QUIET)
    lab.wait_until("another server is active", lambda: (s := scenario.server_status(lab))["state"] == "ACTIVE" and
                   s["epoch"] > before["epoch"])
    scenario.standby_ready(lab)
    noticed, told, _ = fields(lab.log(1000), r"server forwards.*noticed_us=(\d+) activated_us=(\d+) forwards_us=(\d+)")
    epoch = scenario.server_status(lab)["epoch"]
    text = "".join(path.read_text(errors="replace") for path in lab.directory.glob("log/*servers*"))
    seen, active = fields(text, rf"active {epoch} told_us=(\d+) active_us=(\d+)")
    offset = realtime_offset_us()
    mark = stream.mark(int((active + offset) * 1e3))
    return times + [noticed, told, seen, active, mark["after_ns"] / 1e3 - offset], mark["after_us"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=30)
    parser.add_argument("--guests", default="1,64,256")
    options = parser.parse_args()
    with Lab() as lab:
        run("ip", "-n", lab.namespace("client"), "addr", "add", f"{guests.NETWORK}.0.1/16", "dev", "eth0")
        lab.start_daemon()
        scenario.create_nics(lab, "wire0")
        lab.ctl("server", "create", scenario.SERVER, "--nic", "wire0")
        scenario.standby_ready(lab)
        print(f"{'guests':>6} {'us':5}" + "".join(f"{step:>9}" for step in (*STEPS, "total", "pause")), flush=True)
        made = 0
        for count in map(int, options.guests.split(",")):
            guests.create(lab, range(made, count))
            made = count
            with UdpStream(lab, guests.address(0), rate=5000) as stream:
                rows = [kill_once(lab, stream) for _ in range(options.events)]
            columns = [[times[i + 1] - times[i] for times, _ in rows] for i in range(len(STEPS))] + [[times[-1] - times[0] for times, _ in rows], [pause for _, pause in rows]]
            for name, pick in (("p50", .5), ("p99", .99), ("max", 1)):
                print(f"{count:6} {name:5}" + "".join(f"{percentile(column, pick):9.0f}" for column in columns), flush=True)


if __name__ == "__main__":
    main()
