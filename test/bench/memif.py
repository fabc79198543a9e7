"""A channel's rings beside DPDK's memif and a raw unchecked ring: frames per second from one process to another, on two CPUs.

    bazel run //test/bench:memif -- [--rounds N] [--seconds S]

Each round measures all three, for 64 and 1500 bytes: what a machine shared with others gives changes within seconds, so the ratio is
the p50 of the rounds' own ratios. memif: two testpmd processes (Debian: dpdk-dev, librte-net-memif23, librte-mempool-ring23, which
packaging/setup.sh --bench installs), one only sending, one only receiving, a lcore each, without huge pages, its ring as long as ours
and its buffers as large; both sides copy, as ours do. It checks nothing of what the peer writes but what it needs to run.
"""
import argparse
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

from lib.lab import ROOT
from lib.streams import percentile

LENGTHS = (64, 1500)
RING = re.compile(r"^(ring|raw) +(\d+) bytes +\S+ +(\S+)", re.MULTILINE)


def channel_rates(seconds):
    """Millions of frames per second by (name, length)."""
    done = subprocess.run([ROOT / "test/bench/channel", str(seconds / 22)], capture_output=True, text=True, check=True)
    return {(name, int(length)): float(rate) for name, length, rate in RING.findall(done.stdout)}


def testpmd(directory, name, cpu, role, mode, length):
    device = f"net_memif0,role={role},id=0,socket={directory}/memif,socket-abstract=no,bsize=2048,rsize=10"
    return subprocess.Popen(
        ["dpdk-testpmd", "--no-huge", "-m", "256", "--no-pci", "--no-telemetry", f"--file-prefix={os.path.basename(directory)}{name}",
         "--lcores", f"0@{cpu},1@{cpu}", f"--vdev={device}", "--", f"--forward-mode={mode}", f"--txpkts={length}", "--nb-cores=1",
         "--stats-period=1", "--no-mlockall", "--total-num-mbufs=8192"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def stop(process):
    process.send_signal(signal.SIGINT)
    try:
        return process.communicate(timeout=10)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()[0]


def memif_rate(length, seconds):
    """Millions of frames per second that the receiver counts."""
    cpus = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="memif") as directory:
        receiver = testpmd(directory, "a", cpus[0], "server", "rxonly", length)
        time.sleep(1)
        sender = testpmd(directory, "b", cpus[1 % len(cpus)], "client", "txonly", length)
        time.sleep(2 + seconds)
        stop(sender)
        text = stop(receiver)
    rates = [int(rate) / 1e6 for rate in re.findall(r"Rx-pps: +(\d+)", text) if int(rate) > 0]
    if not rates:
        raise RuntimeError(f"memif: nothing was received\n{text}")
    return percentile(rates, .5)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=4)
    options = parser.parse_args()
    if not shutil.which("dpdk-testpmd"):
        parser.exit(1, "memif: dpdk-testpmd is not installed; next: packaging/setup.sh --bench\n")
    rates = {}
    for _ in range(options.rounds):
        values = channel_rates(options.seconds)
        values.update({("memif", length): memif_rate(length, options.seconds) for length in LENGTHS})
        for key, value in values.items():
            rates.setdefault(key, []).append(value)
    print(f"{'':6} {'bytes':>5} {'min':>8} {'p50':>8} {'max':>8} Mpps {'p50 Gb/s':>9} {'ring / it':>10}")
    for length in LENGTHS:
        for name in ("ring", "memif", "raw"):
            values = rates[name, length]
            ratios = [ring / other for ring, other in zip(rates["ring", length], values)]
            print(f"{name:6} {length:5} {min(values):8.2f} {percentile(values, .5):8.2f} {max(values):8.2f}      "
                  f"{percentile(values, .5) * length * 8 / 1e3:9.1f} {percentile(ratios, .5):10.2f}")


if __name__ == "__main__":
    main()
