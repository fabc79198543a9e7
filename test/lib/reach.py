"""Which of many echo servers answer: `reach.py PORT ADDRESS...` prints those that do not, one a line.

All are asked at once; who is silent is asked again, up to `ATTEMPTS` times.
"""
import select
import socket
import sys
import time

ATTEMPTS = 5
WAIT = 1.0


def unreachable(port, addresses):
    missing = set(addresses)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setblocking(False)
        for _ in range(ATTEMPTS):
            for address in sorted(missing):
                s.sendto(address.encode(), (address, port))
            deadline = time.monotonic() + WAIT
            while missing and (left := deadline - time.monotonic()) > 0 and select.select([s], [], [], left)[0]:
                answer, (peer, _) = s.recvfrom(2048)
                if answer == peer.encode():
                    missing.discard(peer)
    return sorted(missing)


if __name__ == "__main__":
    print("\n".join(unreachable(int(sys.argv[1]), sys.argv[2:])))
