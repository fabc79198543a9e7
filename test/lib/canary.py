"""Bytes that are known again, for finding them where they should not be. Run on a host of the lab:

canary.py send WORD PORT ADDRESS...     Datagrams filled with WORD (four bytes in hexadecimal) and of one byte, to each address.
                                        Prints the addresses that sent one back that was filled, a line each.
canary.py sniff WORD ADDRESS...         Until its input ends: looks at all frames on eth0. Prints, as JSON, how many frames there were
                                        and how many shorter than 60 bytes; which had anything but zeros behind their packet; and in
                                        which WORD stood, though they are neither from nor for one of the addresses.
"""
import json
import select
import socket
import sys
import time

SIZES = (1, 1400, 4000)  # The last in fragments.
ENOUGH = 8  # So many bytes of a repeated word in a row are no accident.
ETH_P_ALL = 3
ARP, IPV4, IPV6 = 0x0806, 0x0800, 0x86dd


def fill(word, size):
    return (word * (size // len(word) + 1))[:size]


def stands_in(word, data):
    return any(fill(word[i:] + word[:i], ENOUGH) in data for i in range(len(word)))


def packet_bytes(frame):
    """Length of the packet in a frame by what it says itself; None: of another kind."""
    kind = int.from_bytes(frame[12:14], "big")
    if kind == ARP:
        return 28
    if kind == IPV4:
        return int.from_bytes(frame[16:18], "big")
    return 40 + int.from_bytes(frame[18:20], "big") if kind == IPV6 else None


def send(word, port, addresses):
    answered = set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        for size in SIZES:
            for address in addresses:
                s.sendto(fill(word, size), (address, port))
        deadline = time.monotonic() + 1
        while len(answered) < len(addresses) and (left := deadline - time.monotonic()) > 0 and select.select([s], [], [], left)[0]:
            answer, (peer, _) = s.recvfrom(65536)
            if stands_in(word, answer):
                answered.add(peer)
    print("\n".join(sorted(answered)))


def sniff(word, addresses):
    of_addresses = [socket.inet_aton(address) for address in addresses]
    seen = {"frames": 0, "short": 0, "padded": [], "strays": []}
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as s:
        s.bind(("eth0", 0))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 << 20)
        print("ready", flush=True)
        while True:
            ready = select.select([s, sys.stdin], [], [])[0]
            if s in ready:
                frame = s.recv(1 << 17)
                seen["frames"] += 1
                seen["short"] += len(frame) < 60
                size = packet_bytes(frame)
                if size and any(frame[14 + size:]):
                    seen["padded"].append(frame.hex())
                if stands_in(word, frame) and not any(address in frame[26:34] for address in of_addresses):
                    seen["strays"].append(frame[:64].hex())
            elif sys.stdin in ready and not sys.stdin.read(1):
                break
    print(json.dumps(seen), flush=True)


if __name__ == "__main__":
    command, word, *rest = sys.argv[1:]
    if command == "send":
        send(bytes.fromhex(word), int(rest[0]), rest[1:])
    else:
        sniff(bytes.fromhex(word), rest)
