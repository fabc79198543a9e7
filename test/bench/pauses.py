"""Pauses that a client sees: failover, planned upgrade, mode change, the daemon's restart.

    bazel run //test/bench:pauses -- [--events N]        as root

A numbered UDP stream goes to an echo guest and back while each event happens N times, with nothing else running. Pause: the
longest time from sending a number to the arrival of it or of a later one, around each event; so it includes the stream's own
round trip, whose median stands beside it. Lost: numbers that never came back.
"""
import argparse

from lib import scenario
from lib.lab import Lab
from lib.streams import UdpStream, percentile


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=50)
    parser.add_argument("--rate", type=int, default=5000, help="datagrams per second")
    options = parser.parse_args()
    with Lab() as lab:
        files = lab.directory / "files"
        files.mkdir()
        lab.start_daemon()
        scenario.build(lab, files)
        events = {
            "mode change": lambda i: scenario.set_mode(lab, scenario.ECHO, "server" if i % 2 else "direct"),
            "server kill": lambda i: scenario.replace_server(lab),
            "upgrade": lambda i: scenario.upgrade(lab, lab.server_image),
            "daemon kill": lambda i: scenario.restart_daemon(lab),
            "nothing": lambda i: lab.ctl("server", "list"),
        }
        print(f"{'event':12} {'count':>6} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8} {'lost':>6} {'of':>8} {'median us':>10}")
        with UdpStream(lab, scenario.ADDRESS[scenario.ECHO][0], rate=options.rate) as stream:
            for name, event in events.items():
                count = options.events + options.events % 2  # Mode changes end where they began.
                marks = scenario.repeat(stream, count, event, name)
                pauses = [m["pause_us"] / 1e3 for m in marks]
                print(f"{name:12} {count:6} {percentile(pauses, .5):8.2f} {percentile(pauses, .99):8.2f} {max(pauses):8.2f} "
                      f"{sum(m['missing'] for m in marks):6} {sum(m['sent'] for m in marks):8} "
                      f"{percentile([m['median_us'] for m in marks], .5):10.0f}", flush=True)
                if name == "daemon kill":
                    ready = [m["value"] for m in marks]
                    print(f"  ready again  {count:5} {percentile(ready, .5):8.2f} {percentile(ready, .99):8.2f} {max(ready):8.2f}")


if __name__ == "__main__":
    main()
