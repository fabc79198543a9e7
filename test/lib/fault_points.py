"""Holds a domain or the daemon at a step of a protocol: the test's side of guest/platform/fault_point.h.

A process that was built with fault points has a page in its data that says which point is armed. Here it is found by its
magic, and written in the memory of the process, or in a copy of the image for points that come before anybody could.
"""
import os
import pathlib
import struct

from lib.lab import start_time

MAGIC = b"LIBRETTOS-FAULT\0"
REACHED, SKIP, ARMED, END = 16, 20, 24, 72  # Offsets in the page: FaultPage in fault_point.cc.

# What makes somebody come to the point, and who: "<what happens>: <who>".
POINTS = {
    "traffic: active": ["server.received", "server.delivered", "server.published", "server.looked", "server.sent",
                        "server.consumed"],
    "lease: active": ["server.lease"],
    "failover: standby": ["server.told", "server.attached", "server.unnamed", "server.activated", "server.greeting",
                          "server.healthy"],
    "new standby: itself": ["server.starting", "server.mapped", "server.bound", "server.connected"],
    "upgrade: active": ["server.quiescing", "server.nic-returned"],
    "upgrade: itself": ["server.starting", "server.connected", "server.told", "server.attached", "server.activated",
                        "server.healthy"],
    "new standby: guest": ["guest.offered", "guest.granted"],
    "direct: guest": ["guest.nic-opened", "guest.drained", "guest.declared-direct", "guest.direct"],
    "server: guest": ["guest.declared-server", "guest.announced", "guest.nic-closed", "guest.nic-returned"],
    "ping: guest": ["guest.received", "guest.put", "guest.published"],
    "failover: daemon": ["daemon.noticed", "daemon.activating", "daemon.nic-given", "daemon.role-written", "daemon.forgetting"],
    "new standby: daemon": ["daemon.spawned"],
    "upgrade: daemon": ["daemon.upgrade-recorded", "daemon.quiesce-written", "daemon.quiesced", "daemon.handed-over",
                        "daemon.upgraded"],
    "direct: daemon": ["daemon.mode-recorded", "daemon.mode-written", "daemon.mode-changed", "daemon.state-written",
                       "daemon.state-replaced"],
    "server: daemon": ["daemon.nic-back"],
    "guest dies: daemon": ["daemon.guest-spawned"],
}


def _place(image):
    """(offset in the file, virtual address, whether it is relative to where the image is loaded) of the page."""
    at = image.index(MAGIC)
    if image.find(MAGIC, at + 1) >= 0:
        raise RuntimeError("there are two pages in the image")
    kind, = struct.unpack_from("<H", image, 16)
    headers, = struct.unpack_from("<Q", image, 32)
    size, count = struct.unpack_from("<HH", image, 54)
    for i in range(count):
        segment, _, offset, address, _, length = struct.unpack_from("<IIQQQQ", image, headers + i * size)
        if segment == 1 and offset <= at < offset + length:
            return at, address + at - offset, kind == 3
    raise RuntimeError("the page is not loaded")


def write_image(source, target, point="", skip=0):
    """Copies an image, with a point armed from its start; whoever executes `target` meanwhile is not disturbed."""
    image = bytearray(pathlib.Path(source).read_bytes())
    at, _, _ = _place(image)
    image[at + SKIP:at + END] = struct.pack("<I48s", skip, point.encode())
    new = pathlib.Path(f"{target}.new")
    new.write_bytes(image)
    new.chmod(0o755)
    new.rename(target)


class Process:
    """A process that runs `image`."""

    def __init__(self, pid, image):
        self.pid = pid
        self.start = start_time(pid)
        _, self._page, relative = _place(pathlib.Path(image).read_bytes())
        if relative:
            self._page += int(pathlib.Path(f"/proc/{pid}/maps").read_text().split("-")[0], 16)

    def _access(self, offset, data=None, size=0):
        descriptor = os.open(f"/proc/{self.pid}/mem", os.O_RDWR)
        try:
            if data is None:
                return os.pread(descriptor, size, self._page + offset)
            return os.pwrite(descriptor, data, self._page + offset)
        finally:
            os.close(descriptor)

    def runs(self):
        return start_time(self.pid) == self.start

    def arm(self, point, skip=0):
        if self._access(0, size=len(MAGIC)) != MAGIC:
            raise RuntimeError(f"process {self.pid} has no fault points")
        name = point.encode().ljust(END - ARMED, b"\0")
        self._access(REACHED, struct.pack("<II", 0, skip))
        # Its first byte arms it.
        self._access(ARMED + 1, name[1:])
        self._access(ARMED, name[:1])

    def reached(self):
        """False also once it is gone."""
        try:
            return self._access(REACHED, size=4) != bytes(4)
        except (OSError, RuntimeError):
            return False

    def disarm(self):
        """Lets it go on, if it is there."""
        try:
            self._access(REACHED, bytes(END - REACHED))
        except OSError:
            pass
