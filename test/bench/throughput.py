"""TCP throughput of one stream and CPU per byte: through the server, direct, and over plain kernel networking.

    bazel run //test/bench:throughput -- [--rounds N]        as root

The same HTTP program sends the same file in all three; rounds are interleaved, so that the machine's mood meets all alike. Rates in
Gbit/s from curl's clock; CPU: time of server and guest processes per gigabyte (for the kernel: of the HTTP process).
"""
import argparse
import os
import pathlib
import time

from lib import scenario
from lib.lab import Lab
from lib.streams import download_mbit_per_s, percentile

SIZE_MIB = 512


def cpu_seconds(*pids):
    ticks = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    with Lab() as lab:
        lab.make_file("file", SIZE_MIB)
        lab.start_daemon()
        scenario.build(lab, lab.files)
        lab.add_host("kernel", 9)
        kernel = lab.client_start(lab.binary("guest/apps/testing/guest_on_kernel_sockets"), lab.files, "http", host="kernel")
        time.sleep(0.5)
        web = scenario.ADDRESS[scenario.WEB][0]
        guest, server = lab.describe("guest", scenario.WEB)["status"]["pid"], scenario.server_status(lab)["activePid"]
        ways = {"server": (web, [guest, server]), "direct": (web, [guest]), "kernel": ("10.77.0.9", [kernel.pid])}
        rates, cpu = {way: [] for way in ways}, {way: [] for way in ways}
        for _ in range(options.rounds):
            for way, (address, pids) in ways.items():
                if way != "kernel":
                    scenario.set_mode(lab, scenario.WEB, way)
                before = cpu_seconds(*pids)
                rates[way].append(download_mbit_per_s(lab, f"http://{address}/file") / 1e3)
                cpu[way].append((cpu_seconds(*pids) - before) / (SIZE_MIB / 1024))
        kernel.terminate()
        kernel.wait()
    print(f"{'way':8} {'p50':>7} {'min':>7} {'max':>7} Gbit/s {'of kernel':>10} {'CPU s/GiB':>10} {'of direct':>10}")
    for way, values in rates.items():
        ratio = percentile(values, .5) / percentile(rates["kernel"], .5)
        direct = percentile(cpu["direct"], .5)
        print(f"{way:8} {percentile(values, .5):7.2f} {min(values):7.2f} {max(values):7.2f}        {ratio:10.2f} "
              f"{percentile(cpu[way], .5):10.3f} {percentile(cpu[way], .5) / direct if direct else 0:10.2f}")


if __name__ == "__main__":
    main()
