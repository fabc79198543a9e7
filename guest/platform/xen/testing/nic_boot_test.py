"""Boots the image that sends back what its NIC receives, under plain QEMU, with each NIC that there is a driver for."""
import os
import shutil
import socket
import subprocess
import tempfile
import unittest

from lib import runner

QEMU = "qemu-system-x86_64"
IMAGE = "guest/platform/xen/testing/nic_image.elf"
GOOD_END = 33  # QEMU makes (n << 1) | 1 of what end.cc writes.
MISSING = f"{QEMU} is not installed (packaging/setup.sh --test)"
MAC = bytes.fromhex("525400123456")
PEER = bytes.fromhex("020000000001")
PLAIN, END, HELLO = b"\x88\xb5", b"\x88\xb6", b"\x88\xb7"
WINDOW = 16


class Wire:
    """The other end of the NIC: each datagram is a frame."""

    def __init__(self, directory):
        self.near, self.far = os.path.join(directory, "near"), os.path.join(directory, "far")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.near)
        self.socket.settimeout(30)

    def netdev(self):
        return f"dgram,id=wire,local.type=unix,local.path={self.far},remote.type=unix,remote.path={self.near}"

    def send(self, kind, payload=b""):
        self.socket.sendto((MAC + PEER + kind + payload).ljust(60, b"\0"), self.far)

    def receive(self, kind):
        while True:
            frame = self.socket.recv(65536)
            if frame[12:14] == kind:
                return frame


@unittest.skipUnless(shutil.which(QEMU), MISSING)
class NicTest(unittest.TestCase):
    def echo(self, wire, sizes):
        frames = [n.to_bytes(4, "big") + bytes((n + i) & 255 for i in range(size - 18)) for n, size in enumerate(sizes)]
        sent = 0
        for n, payload in enumerate(frames):
            while sent < len(frames) and sent < n + WINDOW:
                wire.send(PLAIN, frames[sent])
                sent += 1
            self.assertEqual(wire.receive(PLAIN), PEER + MAC + PLAIN + payload, f"frame {n}")

    def check(self, device):
        with tempfile.TemporaryDirectory(dir="/tmp") as directory:
            wire = Wire(directory)
            with open(os.path.join(directory, "output"), "w+b") as output:
                process = subprocess.Popen(
                    [QEMU, "-M", "q35,accel=tcg", "-cpu", "max", "-m", "128M", "-nodefaults", "-display", "none", "-no-reboot",
                     "-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-kernel", IMAGE, "-append", "debug-exit",
                     "-netdev", wire.netdev(), "-device", f"{device},netdev=wire,mac={MAC.hex(':')}"],
                    stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
                try:
                    for _ in range(2):
                        self.assertEqual(wire.receive(HELLO)[6:12], MAC)
                        self.echo(wire, [60, 61, 1514, 2048, 4084, 4096, 9014])
                        self.echo(wire, [60 + n * 37 % 1454 for n in range(1500)])
                        wire.send(END)
                    status = process.wait(60)
                except (TimeoutError, subprocess.TimeoutExpired, AssertionError):
                    output.seek(0)
                    print(output.read().decode(errors="replace"))
                    raise
                finally:
                    process.kill()
                    process.wait()
                output.seek(0)
                self.assertEqual(status, GOOD_END, output.read().decode(errors="replace"))

    def test_82574l(self):
        self.check("e1000e")

    def test_virtio(self):
        self.check("virtio-net-pci,disable-legacy=on")


if __name__ == "__main__":
    runner.main()
