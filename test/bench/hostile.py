"""What a hostile guest costs its neighbour: downloads from one guest while another on the same server does its worst.

    bazel run //test/bench:hostile -- [--rounds N] [--modes M,M...]        as root

The modes are those of test/tools/hostile.cc, each beside the same download alone in the same round. On few CPUs a guest that is merely
busy takes its share, so a decent guest stands beside each as its control: "spin", which only computes; for those that send what is
legitimate, if too much of it, "download", from which the client downloads as well; for "stalled", which the client floods, "drain",
which takes what it gets. Rates in Gbit/s; ratios: the p50 over rounds of the ratio to the same round's control. CPU: the server's time
per second of download. Below, what the server counted about the hostile guest in one round.
"""
import argparse
import json
import threading
import time

from lib import scenario
from lib.lab import Lab, run
from lib.processes import cpu_seconds
from lib.streams import UdpStream, download_mbit_per_s, percentile

SIZE_MIB = 512
ALONE = "alone"
FLOODED = ("drain", "stalled")
SPIN, PEER = "spin", "download"
MODES = (SPIN, "events", "drop", "broadcast", "flip", "leases", "registry", PEER, "wire", "neighbour", "drain", "stalled")
CONTROL = {"wire": PEER, "neighbour": PEER, "stalled": "drain", PEER: ALONE, SPIN: ALONE}  # Of the others: SPIN.
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


class Peer:
    """A decent guest from which the client downloads without end, while entered."""

    counters = {}

    def __init__(self, lab, files):
        self.lab, self.files = lab, files

    def __enter__(self):
        self.lab.ctl("guest", "create", HOSTILE, "--server", scenario.SERVER, "--address", f"{HOSTILE_IP}/24", "--mac", HOSTILE_MAC,
                     "--files", self.files, "--", "http")
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.download)
        self.thread.start()
        time.sleep(0.1)

    def download(self):
        while not self.stop.is_set():
            download_mbit_per_s(self.lab, f"http://{HOSTILE_IP}/part")

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        self.lab.ctl("guest", "delete", HOSTILE)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--modes", default=",".join(MODES))
    options = parser.parse_args()
    modes = options.modes.split(",")
    with Lab() as lab:
        lab.make_file("file", SIZE_MIB)
        lab.make_file("part", SIZE_MIB // 4)  # So that the peer ends soon after its time.
        lab.start_daemon()
        scenario.create_nics(lab, "wire0")
        lab.ctl("server", "create", scenario.SERVER, "--nic", "wire0", "--shared", f"{SHARED_IP}/24")
        web = scenario.ADDRESS[scenario.WEB][0]
        lab.ctl("guest", "create", scenario.WEB, "--server", scenario.SERVER, "--address", f"{web}/24", "--files", lab.files, "--", "http")
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
                beside = Peer(lab, lab.files) if mode == PEER else Hostile(lab, mode, neighbour)
                with beside:
                    download(mode)
                counters[mode] = beside.counters
        failovers = scenario.server_status(lab).get("failovers", "0")
    per_round = len(rates[ALONE]) // options.rounds
    rates[ALONE], first = rates[ALONE][::per_round], rates[ALONE]

    def ratio(name, control):
        """The p50 of the ratios within each round."""
        if control not in rates:
            return "-"
        return f"{percentile([one / other for one, other in zip(rates[name], rates[control])], .5):.2f}"

    print(f"{'beside':10} {'p50':>7} {'min':>7} {'max':>7} Gbit/s {'of alone':>9}  {'of its control':17} {'server CPU':>11}")
    for name in [ALONE, *modes]:
        values = first if name == ALONE else rates[name]
        control = CONTROL.get(name, SPIN) if name != ALONE else ""
        print(f"{name:10} {percentile(values, .5):7.2f} {min(values):7.2f} {max(values):7.2f}        {ratio(name, ALONE):>9}  "
              f"{ratio(name, control):>5} {control:11} {percentile(cpu[name], .5):11.2f}")
    print(f"failovers: {failovers}\n")
    for mode, values in counters.items():
        print(f"{mode:10} " + " ".join(f"{key}={value}" for key, value in sorted(values.items())))


if __name__ == "__main__":
    main()
