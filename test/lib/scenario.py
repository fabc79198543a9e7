"""The cast of the main job and what can be done to it: two guests on one server, a NIC of its own for each."""
import signal
import time

SERVER = "net0"
WEB, ECHO = "web", "echo"
ADDRESS = {WEB: ("10.77.0.11", "fd77::11"), ECHO: ("10.77.0.12", "fd77::12")}


def create_nics(lab, *names):
    """A NIC on the wire for each name."""
    for nic in names:
        lab.create_nic(nic)


def build(lab, files, *server_options):
    """NICs, a server with a standby, an HTTP guest for `files` and an echo guest; returns when all of it runs."""
    create_nics(lab, *lab.server_nics, *lab.spare_nics)
    nic, *standby_nic = lab.server_nics
    lab.ctl("server", "create", SERVER, "--nic", nic, *[f"--standby-nic={name}" for name in standby_nic],
            *lab.server_options, *server_options)
    for name, program in ((WEB, ["--files", str(files), "--", "http"]), (ECHO, ["--", "echo"])):
        ipv4, ipv6 = ADDRESS[name]
        lab.ctl("guest", "create", name, "--server", SERVER, "--address", f"{ipv4}/24", "--address", f"{ipv6}/64", *program)
    standby_ready(lab)


def server_status(lab):
    return lab.describe("server", SERVER)["status"]


def standby_ready(lab):
    return lab.wait_until("the standby is ready", lambda: (s := server_status(lab))["state"] == "ACTIVE" and
                          s.get("standbyReady") and s)


def set_mode(lab, guest, mode):
    """Returns the pause in milliseconds that the guest itself measured."""
    lab.ctl("guest", "set-mode", guest, mode, "--deadline", f"{lab.mode_deadline}s")
    pause = lab.describe("guest", guest)["status"].get("lastModeChangePause", "0s")
    return float(pause.rstrip("s")) * 1e3


def replace_server(lab, sig=signal.SIGKILL):
    """Kills (or stops) the active server, waits until its successor is active and has a standby of its own."""
    before = server_status(lab)
    domain = lab.domain(before, "active")
    lab.end_domain(domain, sig)
    lab.wait_until("another server is active", lambda: (s := server_status(lab))["state"] == "ACTIVE" and
                   s["epoch"] > before["epoch"] and lab.domain(s, "active") != domain)
    if lab.domain_runs(domain):
        raise RuntimeError(f"domain {domain} of the replaced server still runs")
    standby_ready(lab)


def upgrade(lab, image, check=True, health_timeout=None):
    done = lab.ctl("server", "upgrade", SERVER, "--image", str(image), "--health-timeout", health_timeout or lab.health_timeout,
                   check=check, timeout=f"{3 * lab.patience}s")
    standby_ready(lab)
    return done


def restart_daemon(lab):
    """Kills the daemon; returns milliseconds from its death until its successor serves with all resources there."""
    lab.kill_daemon()
    begin = time.monotonic()
    lab.start_daemon()
    elapsed = (time.monotonic() - begin) * 1e3
    standby_ready(lab)
    return elapsed


def repeat(stream, count, event, name):
    """Does `event` `count` times under `stream`; returns the marks, in order. `event(i)` may return a value kept in it."""
    stream.mark()
    marks = []
    for i in range(count):
        value = event(i)
        mark = stream.mark()
        mark["event"] = name
        mark["value"] = value
        marks.append(mark)
    return marks
