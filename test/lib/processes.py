"""What processes cost, from /proc."""
import pathlib


def cpu_seconds(*pids):
    """Time on a CPU of all threads that run, to the nanosecond."""
    return sum(int(path.read_text().split()[0]) for pid in pids for path in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def memory_mib(pid):
    """(resident, of which its own alone) in MiB: what it shares with others is in the first only."""
    values = {}
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value, *_ = line.split()
        values[name] = int(value) / 1024
    return values["Rss:"], values["Private_Clean:"] + values["Private_Dirty:"]
