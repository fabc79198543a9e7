"""Traffic that runs while things happen: a numbered UDP stream and a download checked by SHA-256."""
import hashlib
import json
import subprocess
import threading
import time


class UdpStream:
    """test/tools/stream against an echo server."""

    def __init__(self, lab, address, port=7, rate=None):
        self._process = lab.client_start(lab.binary("test/tools/stream"), address, port, "--rate", rate or lab.udp_rate,
                                         "--patience", lab.udp_patience_ms, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def mark(self, instant_ns=0):
        """What became of the numbers sent since the last mark; see test/tools/stream.cc."""
        self._process.stdin.write(f"mark {instant_ns}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the UDP stream ended")
        return json.loads(line)

    def close(self):
        self._process.stdin.close()
        self._process.wait(timeout=10)

    def __enter__(self):
        time.sleep(0.2)
        self.mark()
        return self

    def __exit__(self, *_):
        self.close()


class Downloads:
    """Downloads of one file, one after the other, each over one connection and hashed, until closed.

    curl does not retry and does not resume: a broken connection is a failure.
    """

    def __init__(self, lab, url, sha256, limit_rate="40M", host="client"):
        self._host = host
        self._lab, self._url, self._sha256, self._limit = lab, url, sha256, limit_rate
        self._stop = False
        self._process = None
        self.completed = 0
        self.bytes = 0
        self.failures = []
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        while not self._stop:
            self._one()

    def _one(self):
        digest = hashlib.sha256()
        self._process = self._lab.client_start("curl", "-sS", "--fail", "--limit-rate", self._limit, "--max-time", "600",
                                               self._url, host=self._host, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        # The pipe is opened as text by client_start; its buffer below gives the bytes.
        for block in iter(lambda: self._process.stdout.buffer.read(1 << 20), b""):
            digest.update(block)
            self.bytes += len(block)
        error = self._process.stderr.read().strip()
        code = self._process.wait()
        if code != 0:
            self.failures.append(f"curl exit {code}: {error}")
        elif digest.hexdigest() != self._sha256:
            self.failures.append("wrong SHA-256")
        else:
            self.completed += 1

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, kind, *_):
        """Lets the download under way come to its end; after an exception (Ctrl-C), ends it."""
        self._stop = True
        if kind is not None and self._process is not None:
            self._process.kill()
        self._thread.join()


def download_mbit_per_s(lab, url, host="client"):
    """Rate of one connection from its first byte on, by curl's own clock."""
    done = lab.client("curl", "-sS", "--fail", "-o", "/dev/null", "-w",
                      "%{size_download} %{time_total} %{time_starttransfer}", url, host=host)
    size, total, first = map(float, done.stdout.split())
    return size * 8 / 1e6 / max(total - first, 1e-9)


def percentile(values, fraction):
    """Nearest-rank percentile."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(len(ordered) * fraction * 1000) // 1000) - 1))] if ordered else 0.0


def make_file(path, size):
    """Writes `size` bytes of noise; returns their SHA-256."""
    digest = hashlib.sha256()
    with open(path, "wb") as out, open("/dev/urandom", "rb") as noise:
        block = noise.read(1 << 20)
        for number in range(size >> 20):
            # Every block differs, cheaply: a shifted or repeated part changes the sum.
            part = number.to_bytes(8, "big") + block[8:]
            digest.update(part)
            out.write(part)
    return digest.hexdigest()
