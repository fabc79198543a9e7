#!/usr/bin/env python3
"""librettos at its main job, on this machine, with real traffic. Called by run.sh.

main_job.py          shows every step, then stays up until Ctrl-C
main_job.py --once   shows every step, prints `name: value` lines, exits 0 only if all of it held
main_job.py --xen    on Xen, in an emulated machine; with or without --once
"""
import argparse
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from lib import scenario  # noqa: E402
from lib.lab import Lab, run  # noqa: E402
from lib.streams import Downloads, UdpStream, download_mbit_per_s, percentile  # noqa: E402
from xen import lab as xen  # noqa: E402


class Show:
    def __init__(self):
        self.broken = 0
        self.failures = []
        self.summary = {}

    def step(self, text):
        print(f"\n== {text}", flush=True)

    def line(self, text):
        print(f"   {text}", flush=True)

    def require(self, held, text):
        if not held:
            self.failures.append(text)
            print(f"   FAILED: {text}", flush=True)


def under_traffic(show, lab, sha256, what, count, event):
    """Runs `event` `count` times under a UDP stream and a running download; shows and returns the marks."""
    url = f"http://{scenario.ADDRESS[scenario.WEB][0]}/file"
    downloads = Downloads(lab, url, sha256)
    with UdpStream(lab, scenario.ADDRESS[scenario.ECHO][0]) as stream, downloads:
        marks = scenario.repeat(stream, count, event, what)
    show.broken += len(downloads.failures)
    for failure in downloads.failures:
        show.line(f"download: {failure}")
    pauses = [m["pause_us"] / 1e3 for m in marks]
    missing = sum(m["missing"] for m in marks)
    show.line(f"{count} x {what}: pause p50 {percentile(pauses, .5):.2f} ms, p99 {percentile(pauses, .99):.2f} ms, "
              f"max {max(pauses):.2f} ms; frames lost {missing} of {sum(m['sent'] for m in marks)}; "
              f"downloads whole {downloads.completed}, broken {len(downloads.failures)}")
    return marks, pauses, missing


def steps(show, lab):
    sha256 = lab.make_file("file", lab.file_mib)
    show.step("Start: a daemon, a NIC on the wire, a network server with a standby, two guests")
    show.line(f"daemon ready in {lab.start_daemon() * 1e3:.0f} ms")
    scenario.build(lab, lab.files)
    for noun in ("server", "guest", "nic"):
        print("\n" + lab.ctl(noun, "list").stdout.rstrip())

    web4, web6 = scenario.ADDRESS[scenario.WEB]
    show.step("Through the server")
    for address in (web4, web6):
        done = lab.client("ping", "-c", "3", "-i", "0.2", address, check=False)
        show.require(done.returncode == 0, f"ping {address}: {done.stdout}{done.stderr}")
        show.line(f"ping {address}: {done.stdout.strip().splitlines()[-1] if done.returncode == 0 else 'no answer'}")
    done = lab.client("sh", "-c", f"curl -sS --fail http://{web4}/file | sha256sum")
    show.require(done.stdout.split()[0] == sha256, "the download's SHA-256 is wrong")
    show.line(f"download of {lab.file_mib} MiB: SHA-256 {done.stdout[:16]}…, of the file {sha256[:16]}…")

    show.step("One download, three ways, interleaved")
    lab.add_host("kernel", 9)
    kernel = lab.client_start(lab.binary("guest/apps/testing/guest_on_kernel_sockets"), lab.directory / "files", "http",
                              host="kernel", stderr=subprocess.DEVNULL)
    time.sleep(0.3)
    rates = {"server": [], "direct": [], "kernel": []}
    for _ in range(min(5, lab.events)):
        rates["server"].append(download_mbit_per_s(lab, f"http://{web4}/file"))
        scenario.set_mode(lab, scenario.WEB, "direct")
        rates["direct"].append(download_mbit_per_s(lab, f"http://{web4}/file"))
        scenario.set_mode(lab, scenario.WEB, "server")
        rates["kernel"].append(download_mbit_per_s(lab, "http://10.77.0.9/file"))
    kernel.terminate()
    kernel.wait()
    for way, values in rates.items():
        rate = percentile(values, .5)
        show.summary[f"download_mbit_per_s_{way}"] = f"{rate:.0f}"
        show.line(f"{way:7} {rate:8.0f} Mbit/s (median of {len(values)})")

    show.step("Modes change under traffic: both guests go direct and back")
    def change(i):
        target = "server" if i % 2 else "direct"
        return [scenario.set_mode(lab, guest, target) for guest in (scenario.WEB, scenario.ECHO)]
    marks, _, missing = under_traffic(show, lab, sha256, "mode change", 2 * lab.events, change)
    pauses = [m["pause_us"] / 1e3 for m in marks]
    show.summary["mode_change_pause_p50_ms"] = f"{percentile(pauses, .5):.3f}"
    show.summary["mode_change_pause_p99_ms"] = f"{percentile(pauses, .99):.3f}"
    show.summary["mode_change_frames_lost"] = missing
    own = [p for m in marks for p in m["value"]]
    show.line(f"held back by the guests: p50 {percentile(own, .5):.3f} ms, max {max(own):.3f} ms")
    show.require(missing == 0, "a mode change lost frames")

    show.step("The server is killed (kill -9); the standby takes over")
    _, pauses, missing = under_traffic(show, lab, sha256, "server kill", lab.events, lambda i: scenario.replace_server(lab))
    show.summary["failover_pause_p50_ms"] = f"{percentile(pauses, .5):.3f}"
    show.summary["failover_pause_p99_ms"] = f"{percentile(pauses, .99):.3f}"
    show.summary["failover_frames_lost"] = missing

    show.step("The server hangs (SIGSTOP); the daemon notices by its heartbeat")
    under_traffic(show, lab, sha256, "server hang", min(3, lab.events), lambda i: scenario.replace_server(lab, signal.SIGSTOP))

    show.step("The server is upgraded to another binary")
    _, pauses, missing = under_traffic(show, lab, sha256, "upgrade", lab.events,
                                       lambda i: scenario.upgrade(lab, lab.server_image))
    show.summary["upgrade_pause_p50_ms"] = f"{percentile(pauses, .5):.3f}"
    show.summary["upgrade_frames_lost"] = missing
    show.require(missing == 0 or not lab.upgrade_keeps_all, "an upgrade lost frames")

    show.step("The daemon is killed and started again")
    marks, _, missing = under_traffic(show, lab, sha256, "daemon kill", lab.events, lambda i: scenario.restart_daemon(lab))
    show.summary["daemon_restart_ms"] = f"{percentile([m['value'] for m in marks], .5):.0f}"
    show.require(missing == 0, "the daemon's death lost frames")

    show.summary = {"connections_broken": show.broken, **show.summary}
    show.require(show.broken == 0, f"{show.broken} connections broke")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--once", action="store_true", help="do the steps, print the summary, exit")
    parser.add_argument("--xen", action="store_true", help="in the Xen lab")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(143))
    show = Show()
    if options.xen and (reason := xen.missing()):
        sys.exit(f"no Xen lab here: {reason}")
    with (xen.XenLab if options.xen else Lab)() as lab:
        try:
            steps(show, lab)
        except RuntimeError as error:
            show.require(False, str(error))
            print(lab.log(), lab.domain_logs(), sep="\n")
        if show.failures and options.xen:
            print(f"logs: {lab.collect()}")
        if options.once:
            print("\nsummary")
            for name, value in show.summary.items():
                print(f"{name}: {value}")
        else:
            ctl = lab.ctl_text()
            print(f"""
It stays up until Ctrl-C. To try, in another terminal:
  {ctl} guest list
  {ctl} guest set-mode web direct
  {ctl} server upgrade net0
  {ctl} server fail net0
  {ctl} stats
  ip netns exec {lab.namespace('client')} curl -o /dev/null http://10.77.0.11/file
""", flush=True)
            try:
                signal.pause()
            except KeyboardInterrupt:
                print()
    return 1 if show.failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
