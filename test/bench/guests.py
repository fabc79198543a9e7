"""Many guests on one server: do all answer, and what does one frame, and silence, cost beside them?

    bazel run //test/bench:guests -- [--counts N,N...] [--seconds S]        as root

Guests are added until there are as many as each count says (an echo program each, a standby beside the server). Then: who answers
one datagram; round trips of a numbered stream to one guest, with all others silent; the same flooded, for frames per second through
that guest (to it and back) and the server's CPU time for a million of them; the server's CPU time with all silent, and its memory.
(What a failover costs beside them: //test/bench:failover.)
"""
import argparse
import concurrent.futures
import json
import sys
import time

from lib import scenario
from lib.lab import ROOT, Lab, run
from lib.processes import cpu_seconds, memory_mib
from lib.streams import UdpStream

NETWORK = "10.78"
FLOOD_PER_SECOND = 200_000


def address(number):
    return f"{NETWORK}.{1 + number // 250}.{1 + number % 250}"


def create(lab, numbers):
    """Adds guests; returns the seconds until all run and the standby knows them."""
    def one(number):
        lab.ctl("guest", "create", f"g{number}", "--server", scenario.SERVER, "--address", f"{address(number)}/16", "--no-wait",
                "--", "echo", timeout="60s")

    def all_run():
        guests = json.loads(lab.ctl("-o", "json", "guest", "list").stdout)["guests"]
        return all(guest["status"]["state"] == "RUNNING" for guest in guests)

    begin = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(one, numbers))
    lab.wait_until("all guests run", all_run, seconds=120)
    lab.wait_until("all guests are connected", lambda: (s := scenario.server_status(lab)).get("standbyReady") and
                   s.get("connectedGuests") == numbers.stop, seconds=120)
    return time.monotonic() - begin


def measure(lab, count, seconds):
    """One row of the table, without the time of creation."""
    silent = lab.client(sys.executable, ROOT / "test/lib/reach.py", 7, *map(address, range(count))).stdout.split()
    server = scenario.server_status(lab)["activePid"]
    with UdpStream(lab, address(0)) as stream:
        time.sleep(seconds)
        paced = stream.mark()
    with UdpStream(lab, address(0), rate=FLOOD_PER_SECOND) as stream:
        begin, before = time.monotonic(), cpu_seconds(server)
        time.sleep(seconds)
        flooded = stream.mark()
        frames, elapsed, spent = 2 * flooded["received"], time.monotonic() - begin, cpu_seconds(server) - before
    time.sleep(1)
    before = cpu_seconds(server)
    time.sleep(seconds)
    idle = (cpu_seconds(server) - before) / seconds
    resident, own = memory_mib(server)
    return (f"{count - len(silent):6} {paced['median_us']:8.0f} {paced['p99_us']:8.0f} {paced['pause_us']:8.0f} {paced['missing']:6} "
            f"{frames / elapsed / 1e3:9.1f} {spent / frames * 1e6:9.2f} {idle * 100:9.2f} {resident:9.1f} {own:8.1f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", default="1,16,64,256")
    parser.add_argument("--seconds", type=float, default=5, help="for each figure")
    options = parser.parse_args()
    with Lab() as lab:
        run("ip", "-n", lab.namespace("client"), "addr", "add", f"{NETWORK}.0.1/16", "dev", "eth0")
        lab.start_daemon()
        scenario.create_nics(lab, "wire0")
        lab.ctl("server", "create", scenario.SERVER, "--nic", "wire0")
        scenario.standby_ready(lab)
        print(f"{'':13} {'':6} {'round trip, us':>33} {'flooded, one guest':>19} {'silent':>9} {'server, MiB':>18}\n"
              f"{'guests':>6} {'made s':>6} {'answer':>6} {'p50':>8} {'p99':>8} {'max':>8} {'lost':>6} "
              f"{'kframe/s':>9} {'CPU s/M':>9} {'% of core':>9} {'resident':>9} {'own':>8}", flush=True)
        made = 0
        for count in map(int, options.counts.split(",")):
            seconds = create(lab, range(made, count))
            made = count
            print(f"{count:6} {seconds:6.1f} {measure(lab, count, options.seconds)}", flush=True)


if __name__ == "__main__":
    main()
