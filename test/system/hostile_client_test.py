"""Clients that break, stall or flood: the daemon goes on serving everybody else, and what they cost is bounded and comes back."""
import collections
import contextlib
import grp
import os
import random
import re
import resource
import socket
import unittest

from lib import runner, scenario
from lib.lab import Lab

VIEWERS = grp.getgrgid(100).gr_name
VIEWER = 4711  # A user id.
MAX_CONNECTIONS_PER_VIEWER = 16  # daemon/peer.h
GROWTH_KIB = 256 << 10  # A burst of 10,000 calls takes about 15 KiB for each, which the allocator keeps for the next.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, HEADERS, DATA = 4, 1, 0
END_STREAM, END_HEADERS = 1, 4


def frame(kind, flags, stream, payload=b""):
    """RFC 9113, section 4.1."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def header_block(method):
    """RFC 7541, section 6.2.2: literals without indexing."""
    fields = {":method": "POST", ":scheme": "http", ":path": f"/librettos.v1.{method}", ":authority": "localhost",
              "te": "trailers", "content-type": "application/grpc"}
    return b"".join(b"\0" + b"".join(bytes((len(text),)) + text.encode() for text in field) for field in fields.items())


def call(method, stream):
    """A whole request with an empty message."""
    return frame(HEADERS, END_HEADERS, stream, header_block(method)) + frame(DATA, END_STREAM, stream, bytes(5))


class HostileClientTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
        cls.lab = Lab().__enter__()
        cls.addClassCleanup(cls.lab.close)
        cls.lab.start_daemon(f"--viewer_group={VIEWERS}")
        files = cls.lab.directory / "files"
        files.mkdir()
        scenario.build(cls.lab, files)
        cls.lab.ctl("guest", "list")
        cls.descriptors, cls.resident = cls.open_descriptors(), cls.resident_kib()

    @classmethod
    def open_descriptors(cls):
        """How many there are of each kind."""
        directory, kinds = f"/proc/{cls.lab.daemon.pid}/fd", collections.Counter()
        for name in os.listdir(directory):
            with contextlib.suppress(FileNotFoundError):
                kinds[re.sub(r"\d+", "N", os.readlink(f"{directory}/{name}"))] += 1
        return kinds

    @classmethod
    def resident_kib(cls):
        with open(f"/proc/{cls.lab.daemon.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

    def setUp(self):
        self.clients = contextlib.ExitStack()
        self.addCleanup(self.clients.close)

    def connect(self, count, uid=0, gid=0):
        """Connections of a user to the daemon."""
        groups = os.getgroups()
        os.setgroups([] if uid else groups)
        os.setegid(gid)
        os.seteuid(uid)
        try:
            made = []
            for _ in range(count):
                connection = self.clients.enter_context(socket.socket(socket.AF_UNIX))
                connection.connect(str(self.lab.socket))
                connection.settimeout(20)
                made.append(connection)
            return made
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(groups)

    def send(self, connection, data):
        """As much as the daemon takes before it closes, or until it reads no more."""
        connection.settimeout(0.2)
        with contextlib.suppress(OSError):
            connection.sendall(data)

    def others_are_served(self):
        """Another client looks, changes, waits and watches, a server is replaced; then all that was taken comes back."""
        self.lab.ctl("nic", "list")
        self.lab.ctl("guest", "create", "another", "--server", scenario.SERVER, "--address", "10.77.0.50/24", "--", "echo")
        for mode in ("direct", "server"):
            scenario.set_mode(self.lab, scenario.WEB, mode)
        scenario.replace_server(self.lab)
        self.lab.ctl("guest", "delete", "another")
        self.assertLess(self.resident_kib(), self.resident + GROWTH_KIB)
        print(f"daemon: {self.resident_kib()} KiB, {self.resident} at first", flush=True)
        self.clients.close()
        with contextlib.suppress(RuntimeError):
            self.lab.wait_until("all connections are closed", lambda: self.open_descriptors() == self.descriptors)
        self.assertEqual(self.open_descriptors(), self.descriptors)

    def test_random_bytes(self):
        source = random.Random(1)
        for i, connection in enumerate(self.connect(300)):
            begin = (b"", PREFACE, PREFACE + frame(SETTINGS, 0, 0))[i % 3]
            self.send(connection, begin + source.randbytes(source.choice((1, 9, 100, 65536))))
        self.others_are_served()

    def test_half_open_calls(self):
        begins = PREFACE + frame(SETTINGS, 0, 0)
        block = header_block("Guests/ListGuests")
        halves = (b"PRI * HT", begins, begins + frame(HEADERS, 0, 1, block[:20]), begins + frame(HEADERS, END_HEADERS, 1, block),
                  begins + frame(HEADERS, END_HEADERS, 1, block) + frame(DATA, 0, 1, b"\0\0\0\4\0half"))
        for i, connection in enumerate(self.connect(1000)):
            self.send(connection, halves[i % len(halves)])
        self.others_are_served()

    def streams(self, connections, method, count):
        """Calls on all connections whose answers nobody reads."""
        each = count // len(connections)
        for connection in connections:
            self.send(connection, PREFACE + frame(SETTINGS, 0, 0) + b"".join(call(method, 1 + 2 * i) for i in range(each)))

    def test_ten_thousand_streams_of_an_operator(self):
        self.streams(self.connect(100), "Guests/ListGuests", 10000)
        self.others_are_served()

    def test_ten_thousand_watches_of_a_viewer_again_and_again(self):
        for _ in range(5):
            self.clients.close()
            self.streams(self.connect(MAX_CONNECTIONS_PER_VIEWER, VIEWER, grp.getgrnam(VIEWERS).gr_gid), "Statistics/Watch", 10000)
        self.others_are_served()

    def test_a_viewer_has_its_share_of_connections(self):
        connections = self.connect(MAX_CONNECTIONS_PER_VIEWER + 10, VIEWER, grp.getgrnam(VIEWERS).gr_gid)
        # The daemon speaks first on each that it keeps.
        kept = [connection for connection in connections if connection.recv(1)]
        self.assertEqual(len(kept), MAX_CONNECTIONS_PER_VIEWER)
        self.others_are_served()


if __name__ == "__main__":
    runner.main()
