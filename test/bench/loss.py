"""TCP sending over a lossy link: a guest through the server against the kernel's cubic, in the same run.

    bazel run //test/bench:loss -- [--rounds N] [--seconds S] [--loss N,N...]        as root

The same HTTP program sends the same file to a host beyond a link of 5 ms round trip and 1 Gbit/s that loses single frames of the
sender's (per mille, each by itself); guest and kernel take turns over the same link. Rates in Mbit/s over the seconds of a round.
"""
import argparse
import subprocess
import time

from lib import scenario
from lib.lab import Lab, run
from lib.link import Link
from lib.streams import percentile

SIZE_MIB = 1024
KERNEL_IP = "10.77.0.9"
FAR = "far"
LINK = ("--one-way", "--delay", 2500, "--rate", 1_000_000, "--queue", 1000)


def mbit_per_s(lab, address, seconds):
    """Rate in which `seconds` of one download arrive at the far host."""
    done = lab.client("curl", "-sS", "--fail", "-o", "/dev/null", "--max-time", seconds, "-w",
                      "%{size_download} %{time_total} %{time_starttransfer}", f"http://{address}/file", host=FAR, check=False)
    if done.returncode not in (0, 28):  # 28: the time is over.
        raise RuntimeError(f"curl: exit {done.returncode}: {done.stderr}")
    size, total, first = map(float, done.stdout.split())
    return size * 8 / 1e6 / max(total - first, 1e-9)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--loss", default="0,1,10", help="per mille, comma-separated")
    options = parser.parse_args()
    with Lab() as lab:
        lab.make_file("file", SIZE_MIB)
        lab.start_daemon()
        scenario.build(lab, lab.files)
        lab.add_host("kernel", int(KERNEL_IP.rsplit(".", 1)[1]))
        lab.client("sysctl", "-qw", "net.ipv4.tcp_no_metrics_save=1", host="kernel")
        # By the route: the host's default may be another, and a namespace need not be allowed to change it.
        run("ip", "-n", lab.namespace("kernel"), "route", "replace", "10.77.0.0/24", "dev", "eth0", "src", KERNEL_IP, "congctl", "cubic")
        kernel = lab.client_start(lab.binary("guest/apps/testing/guest_on_kernel_sockets"), lab.files, "http", host="kernel",
                                  stderr=subprocess.DEVNULL)
        time.sleep(0.5)
        senders = {"guest": scenario.ADDRESS[scenario.WEB][0], "kernel": KERNEL_IP}
        print(f"{'loss':>6} {'sender':8} {'p50':>8} {'min':>8} {'max':>8} Mbit/s {'of kernel':>10} {'frames lost':>12}", flush=True)
        for loss in map(int, options.loss.split(",")):
            rates = {sender: [] for sender in senders}
            with Link(lab, FAR, 30, "--loss", loss, *LINK) as link:
                for _ in range(options.rounds):
                    for sender, address in senders.items():
                        rates[sender].append(mbit_per_s(lab, address, options.seconds))
            there = link.counters["there"]
            for sender, values in rates.items():
                print(f"{loss / 10:5.1f}% {sender:8} {percentile(values, .5):8.1f} {min(values):8.1f} {max(values):8.1f}        "
                      f"{percentile(values, .5) / percentile(rates['kernel'], .5):10.2f} {there['lost'] / there['frames']:11.2%}"
                      f"{' (both)' if sender == 'guest' else ''}", flush=True)
        kernel.terminate()
        kernel.wait()


if __name__ == "__main__":
    main()
