"""Ordinary traffic with real clients: both IP versions, own and shared addresses, guest to guest."""
import json
import re
import time
import unittest

from lib import runner, scenario
from lib.lab import Lab, kill
from lib.streams import Downloads, UdpStream

SHARED = "10.77.0.2"

# Opens so many connections, asks on each for /small when all are open, and reads all answers.
MANY_CONNECTIONS = """
import resource, socket, sys
host, count = sys.argv[1], int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, count + 100))
connections = [socket.create_connection((host, 80), timeout=30) for _ in range(count)]
for connection in connections:
    connection.sendall(b"GET /small HTTP/1.1\\r\\nHost: guest\\r\\n\\r\\n")
answers = 0
for connection in connections:
    data = b""
    while not data.endswith(b"x" * 1000):
        part = connection.recv(4096)
        if not part:
            sys.exit("closed after " + repr(data))
        data += part
    answers += data.startswith(b"HTTP/1.1 200")
print(answers, "answers")
"""


class TrafficTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = Lab().__enter__()
        cls.addClassCleanup(cls.lab.close)
        cls.sha256 = cls.lab.make_file("file", 1024)
        files = cls.lab.files
        (files / "small").write_bytes(b"x" * 1000)
        cls.files = files
        cls.lab.start_daemon()
        lab = cls.lab
        scenario.create_nics(lab, "wire0", "wire1", "wire2")
        lab.ctl("server", "create", scenario.SERVER, "--nic", "wire0", "--shared", f"{SHARED}/24", "--shared", "fd77::2/64")
        cls.guest("web", 11, "--files", str(files), "--", "http")
        cls.guest("echo", 12, "--", "echo")

    @classmethod
    def guest(cls, name, number, *arguments):
        cls.lab.ctl("guest", "create", name, "--server", scenario.SERVER, "--address", f"10.77.0.{number}/24",
                    "--address", f"fd77::{number:x}/64", *arguments)

    def shared_guest(self, name, *arguments):
        self.lab.ctl("guest", "create", name, "--server", scenario.SERVER, "--restart", "never", *arguments)
        self.addCleanup(self.lab.ctl, "guest", "delete", name, check=False)

    def get(self, url, **options):
        return self.lab.client("curl", "-sS", "--fail", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "5", url,
                               **options)

    def curl_1_gib(self, *hosts):
        for host in hosts:
            done = self.lab.client("sh", "-c", f"curl -sS --fail 'http://{host}/file' | sha256sum")
            self.assertEqual(done.stdout.split()[0], self.sha256, host)

    def wrk_50_connections(self, host):
        done = self.lab.client("wrk", "-c", "50", "-t", "1", "-d", "5s", f"http://{host}/small")
        self.assertNotIn("Socket errors", done.stdout)
        self.assertNotIn("Non-2xx", done.stdout)
        self.assertGreater(int(re.search(r"(\d+) requests in", done.stdout)[1]), 50)

    def test_curl_1_gib(self):
        self.curl_1_gib("10.77.0.11", "[fd77::b]")

    def test_wrk_50_connections(self):
        self.wrk_50_connections("10.77.0.11")

    def test_10000_connections(self):
        self.guest("many", 20, "--files", str(self.files), "--", "http")
        self.addCleanup(self.lab.ctl, "guest", "delete", "many")
        # With one more, its table would be full, and it would close idle ones to make room.
        done = self.lab.client("python3", "-c", MANY_CONNECTIONS, "10.77.0.20", "9999")
        self.assertEqual(done.stdout, "9999 answers\n")

    def test_queue_pairs(self):
        self.guest("quad", 17, "--queue-pairs", "4", "--files", str(self.files), "--", "http")
        self.addCleanup(self.lab.ctl, "guest", "delete", "quad")
        self.curl_1_gib("10.77.0.17", "[fd77::11]")
        self.wrk_50_connections("10.77.0.17")
        self.shared_guest("quad-shared", "--queue-pairs", "4", "--files", str(self.files), "--", "http", "--port", "8100")
        self.curl_1_gib(f"{SHARED}:8100")

    def test_queue_pairs_through_changes(self):
        self.guest("quad-web", 21, "--queue-pairs", "4", "--files", str(self.files), "--", "http")
        self.addCleanup(self.lab.ctl, "guest", "delete", "quad-web")
        self.guest("quad-echo", 22, "--queue-pairs", "4", "--", "echo")
        self.addCleanup(self.lab.ctl, "guest", "delete", "quad-echo")
        scenario.standby_ready(self.lab)
        downloads = Downloads(self.lab, "http://10.77.0.21/file", self.sha256, limit_rate="200M")
        with UdpStream(self.lab, "10.77.0.22") as stream, downloads:
            for mode in ("direct", "server") * 3:
                for guest in ("quad-web", "quad-echo"):
                    scenario.set_mode(self.lab, guest, mode)
            mark = stream.mark()
            self.assertEqual(mark["missing"], 0, mark)
            for _ in range(3):
                scenario.replace_server(self.lab)
        self.assertEqual(downloads.failures, [], self.lab.log() + self.lab.domain_logs())

    def test_queue_pairs_iperf(self):
        self.guest("sink4", 18, "--queue-pairs", "4", "--", "iperf", "-s")
        self.addCleanup(self.lab.ctl, "guest", "delete", "sink4")
        done = self.lab.client("iperf", "-c", "10.77.0.18", "-P", "4", "-t", "2", "-f", "m")
        self.assertGreater(self.iperf_rate(done.stdout), 1e6, done.stdout)
        self.iperf_from_guest("source4", 19, "--queue-pairs", "4")

    def test_ping(self):
        for address in ("10.77.0.11", "fd77::b", SHARED, "fd77::2"):
            done = self.lab.client("ping", "-c", "5", "-i", "0.05", "-W", "2", address, check=False)
            self.assertIn(" 0% packet loss", done.stdout, f"{address}: {done.stdout}{done.stderr}")

    def test_ping_with_fragments(self):
        for address in ("10.77.0.11", "fd77::b"):
            done = self.lab.client("ping", "-c", "3", "-s", "4000", "-i", "0.05", "-W", "2", address, check=False)
            self.assertIn(" 0% packet loss", done.stdout, f"{address}: {done.stdout}{done.stderr}")

    def iperf_rate(self, text):
        rates = re.findall(r"([\d.]+) ([KMG]?)bits/sec", text)
        self.assertTrue(rates, text)
        return float(rates[-1][0]) * {"": 1, "K": 1e3, "M": 1e6, "G": 1e9}[rates[-1][1]]

    def test_iperf_to_guest(self):
        self.guest("sink", 13, "--", "iperf", "-s")
        self.addCleanup(self.lab.ctl, "guest", "delete", "sink")
        done = self.lab.client("iperf", "-c", "10.77.0.13", "-t", "2", "-f", "m")
        self.assertGreater(self.iperf_rate(done.stdout), 1e6, done.stdout)
        done = self.lab.client("iperf", "-c", "10.77.0.13", "-u", "-b", "20M", "-t", "2", "-f", "m")
        self.assertIn("Server Report", done.stdout)

    def test_iperf_from_guest(self):
        self.iperf_from_guest("source", 14)

    def iperf_from_guest(self, name, number, *options):
        server = self.lab.client_start("iperf", "-s", "-P", "1", stdout=-1, stderr=-1)
        time.sleep(0.3)
        self.lab.ctl("guest", "create", name, "--server", scenario.SERVER, "--address", f"10.77.0.{number}/24", "--restart",
                     "never", "--no-wait", *options, "--", "iperf", "-c", "10.77.0.1", "-t", "2")
        self.addCleanup(self.lab.ctl, "guest", "delete", name)
        try:
            output, _ = server.communicate(timeout=20)
        finally:
            server.kill()
        self.assertGreater(self.iperf_rate(output), 1e6, output)

    def test_guest_to_guest(self):
        self.guest("sink2", 15, "--", "iperf", "-s")
        self.addCleanup(self.lab.ctl, "guest", "delete", "sink2")
        self.lab.ctl("guest", "create", "source2", "--server", scenario.SERVER, "--address", "10.77.0.16/24", "--restart",
                     "never", "--no-wait", "--", "iperf", "-c", "10.77.0.15", "-t", "2")
        self.addCleanup(self.lab.ctl, "guest", "delete", "source2")
        guest = self.lab.wait_until("the client guest has ended", lambda: (g := self.lab.describe("guest", "source2"))
                                    ["status"]["state"] == "STOPPED" and g)
        self.assertIn("status 0", guest["status"]["lastExit"])
        log = self.lab.domain_logs()
        rates = re.findall(r"10\.77\.0\.15:5001: \d+ bytes in [\d.]+ s, ([\d.]+) Mbit/s", log)
        self.assertEqual(len(rates), 1, log)
        self.assertGreater(float(rates[0]), 1, log)
        # It did not take the way over the wire.
        self.assertGreater(self.counters("servers/net0", "guests/sink2")["local_frames"], 100)

    def counters(self, name, peer):
        reply = json.loads(self.lab.ctl("-o", "json", "stats", name).stdout)
        row, = [r for r in reply["resources"] if r["peer"] == peer]
        return {k: int(v) for k, v in row["counters"].items()}

    def test_shared_address_by_port(self):
        self.shared_guest("web-a", "--files", str(self.files), "--", "http", "--port", "8080")
        self.shared_guest("web-b", "--files", str(self.files), "--", "http", "--port", "8081")
        for host in (SHARED, "[fd77::2]"):
            for port in (8080, 8081):
                self.assertEqual(self.get(f"http://{host}:{port}/small").stdout, "200")
        done = self.lab.client("sh", "-c", f"curl -sS --fail http://{SHARED}:8080/file | sha256sum")
        self.assertEqual(done.stdout.split()[0], self.sha256)

    def test_second_lease_of_a_port_is_refused_until_it_is_free(self):
        self.shared_guest("first", "--files", str(self.files), "--", "http", "--port", "8090")
        self.assertEqual(self.get(f"http://{SHARED}:8090/small").stdout, "200")
        self.shared_guest("second", "--files", str(self.files), "--no-wait", "--", "http", "--port", "8090")
        guest = self.lab.wait_until("the second guest has given up", lambda: (g := self.lab.describe("guest", "second"))
                                    ["status"]["state"] == "STOPPED" and g)
        self.assertNotIn("status 0", guest["status"]["lastExit"])
        self.assertIn("in-use", self.lab.domain_logs(30))
        # Free again after the holder was killed …
        kill(self.lab.describe("guest", "first")["status"]["pid"])
        self.lab.wait_until("the first guest is dead", lambda: self.lab.describe("guest", "first")["status"]["state"] == "STOPPED")
        self.shared_guest("third", "--files", str(self.files), "--", "http", "--port", "8090")
        self.lab.wait_until("the third guest answers", lambda: self.get(f"http://{SHARED}:8090/small", check=False).stdout == "200")
        # … and after it was deleted in good order.
        self.lab.ctl("guest", "delete", "third")
        self.shared_guest("fourth", "--files", str(self.files), "--", "http", "--port", "8090")
        self.lab.wait_until("the fourth guest answers", lambda: self.get(f"http://{SHARED}:8090/small", check=False).stdout == "200")

    def test_shared_guest_connects_out(self):
        server = self.lab.client_start("iperf", "-s", "-P", "1", "-p", "5002", stdout=-1, stderr=-1)
        time.sleep(0.3)
        self.shared_guest("out", "--no-wait", "--", "iperf", "-c", "10.77.0.1", "-p", "5002", "-t", "1")
        try:
            output, _ = server.communicate(timeout=20)
        finally:
            server.kill()
        self.assertGreater(self.iperf_rate(output), 1e6, output)


if __name__ == "__main__":
    runner.main()
