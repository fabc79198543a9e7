"""What a hostile guest costs its neighbour: downloads from one guest while another on the same server does its worst.

    bazel run //test/bench:hostile -- [--rounds N] [--modes M,M...]        as root

The modes are those of test/tools/hostile.cc, each beside the same download alone in the same round. On few CPUs a guest that is merely
busy takes its share, so "spin" (a guest that only computes) stands as a second measure; "drain" and "stalled" are flooded by the client
as well, and "drain" takes what it gets, as a decent guest would. Rates in Gbit/s, ratios of p50; CPU: the server's time per second of
download. Below, what the server counted about the hostile guest in one round.
"""
import argparse
import json
import time

from lib import scenario
from lib.lab import Lab, run
from lib.processes import cpu_seconds
from lib.streams import UdpStream, download_mbit_per_s, make_file, percentile

SIZE_MIB = 512
ALONE = "alone"
FLOODED = ("drain", "stalled")
MODES = ("spin", "events", "drop", "wire", "neighbour", "broadcast", "drain", "stalled", "flip", "leases", "registry")
FLOOD = {"port": 9, "rate": 20000}
HOSTILE, HOSTILE_IP, HOSTILE_MAC = "hostile", "10.77.0.13", "02:00:00:00:00:bd"
SHARED_IP = "10.77.0.20"


def hexadecimal(ipv4):
    return "".join(f"{int(part):02x}" for part in ipv4.split("."))


class Hostile:
    """The hostile guest in one mode, while entered; `counters` is what the server counted of it."""

    def __init__(self, lab, mode, neighbour):
        self.lab, self.mode, self.neighbour, self.counters = lab, mode, neighbour, {}

    def __enter__(self):
        own = [] if self.mode == "leases" else ["--address", f"{HOSTILE_IP}/24", "--mac", HOSTILE_MAC]
        other = [HOSTILE_MAC.replace(":", ""), hexadecimal(HOSTILE_IP), self.neighbour["mac"].replace(":", ""),
                 hexadecimal(scenario.ADDRESS[scenario.WEB][0])]
        self.lab.ctl("guest", "create", HOSTILE, "--server", scenario.SERVER, "--image", self.lab.binary("test/tools/hostile"),
                     "--restart", "never", "--no-wait", *own, "--", self.mode, *other)
        self.lab.wait_until("the hostile guest begins", lambda: "begins" in self.lab.domain_logs())
        self.stream = UdpStream(self.lab, HOSTILE_IP, **FLOOD).__enter__() if self.mode in FLOODED else None
        time.sleep(0.1)

    def __exit__(self, *_):
        self.counters = self.row()
        if self.stream:
            self.stream.close()
        self.lab.ctl("guest", "delete", HOSTILE)
        for log in self.lab.directory.glob(f"log/*{HOSTILE}*"):
            log.unlink()

    def row(self):
        rows = json.loads(self.lab.ctl("-o", "json", "stats", scenario.SERVER).stdout)["resources"]
        rows = [row for row in rows if row.get("peer") == f"guests/{HOSTILE}"]
        return {**rows[0].get("counters", {}), **rows[0].get("drops", {})} if rows else {}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--modes", default=",".join(MODES))
    options = parser.parse_args()
    modes = options.modes.split(",")
    with Lab() as lab:
        files = lab.directory / "files"
        files.mkdir()
        make_file(files / "file", SIZE_MIB << 20)
        lab.start_daemon()
        scenario.create_nics(lab, "wire0")
        lab.ctl("server", "create", scenario.SERVER, "--nic", "wire0", "--shared", f"{SHARED_IP}/24")
        web = scenario.ADDRESS[scenario.WEB][0]
        lab.ctl("guest", "create", scenario.WEB, "--server", scenario.SERVER, "--address", f"{web}/24", "--files", files, "--", "http")
        run("ip", "-n", lab.namespace("client"), "neigh", "replace", HOSTILE_IP, "lladdr", HOSTILE_MAC, "dev", "eth0")
        neighbour = lab.describe("guest", scenario.WEB)["status"]
        rates, cpu, counters = {}, {}, {}

        def download(name):
            server = scenario.server_status(lab)["activePid"]
            begin, before = time.monotonic(), cpu_seconds(server)
            rates.setdefault(name, []).append(download_mbit_per_s(lab, f"http://{web}/file") / 1e3)
            cpu.setdefault(name, []).append((cpu_seconds(server) - before) / (time.monotonic() - begin))

        for _ in range(options.rounds):
            for mode in modes:
                download(ALONE)
                hostile = Hostile(lab, mode, neighbour)
                with hostile:
                    download(mode)
                counters[mode] = hostile.counters
        failovers = scenario.server_status(lab).get("failovers", "0")
    p50 = {name: percentile(values, .5) for name, values in rates.items()}
    control = {mode: "drain" if mode == "stalled" else "spin" for mode in modes}
    print(f"{'beside':10} {'p50':>7} {'min':>7} {'max':>7} Gbit/s {'of alone':>9} {'of spin':>9} {'server CPU':>11}")
    for name in [ALONE, *modes]:
        base = p50.get(control.get(name, "spin"))
        ratio = f"{p50[name] / base:9.2f}" if base else f"{'-':>9}"
        print(f"{name:10} {p50[name]:7.2f} {min(rates[name]):7.2f} {max(rates[name]):7.2f}        {p50[name] / p50[ALONE]:9.2f} {ratio} "
              f"{percentile(cpu[name], .5):11.2f}")
    print(f"(stalled: of drain)\nfailovers: {failovers}\n")
    for mode, values in counters.items():
        print(f"{mode:10} " + " ".join(f"{key}={value}" for key, value in sorted(values.items())))


if __name__ == "__main__":
    main()
