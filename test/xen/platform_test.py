"""The platform of a Xen domain, part by part, with the probe's image (guest/platform/xen/testing/probe_main.cc); no daemon."""
import re

from lib import runner
from xen.case import XenTestCase
from xen.config import domain_config

IMAGE = "guest/platform/xen/testing/probe_image.elf"
E1000E = "10d38086"


class Probe:
    """A domain that was asked by keys and answers by keys."""

    def __init__(self, test, name, kind, **config):
        self.test, self.lab, self.name = test, test.lab, name
        self.lab.dom0(f"cat >{name}.cfg", input=domain_config(name, kind, "/root/probe.elf", **config))
        test.addCleanup(self.lab.dom0, f"xl destroy {name}", check=False)
        self.lab.dom0(f"xl create -q {name}.cfg")
        self.id = self.lab.dom0(f"xl domid {name}").stdout.strip()
        self.base = f"/local/domain/{self.id}"
        self.answer("up")

    def write(self, key, value):
        self.lab.dom0(f"xenstore-write {self.base}/{key} '{value}'")

    def remove(self, key):
        self.lab.dom0(f"xenstore-rm {self.base}/{key}")

    def read(self, key):
        return self.lab.dom0(f"xenstore-read {self.base}/{key}", check=False).stdout.strip()

    def ask(self, key, value="1"):
        self.write(f"control/probe/{key}", value)

    def answer(self, key):
        return self.lab.wait_until(f"{self.name} answers {key}", lambda: self.read(f"data/probe/{key}"))

    def becomes(self, key, value):
        self.lab.wait_until(f"{key} of {self.name} is {value}", lambda: self.read(key) == value)

    def state(self):
        """The letters by which xl says what the domain does: s for shut down, c for crashed."""
        return self.lab.dom0(f"xl list {self.id} | tail -1").stdout.split()[4]


class PlatformTest(XenTestCase):
    @classmethod
    def prepare(cls):
        cls.lab.put(cls.lab.binary(IMAGE), "/root/probe.elf")
        cls.lab.dom0("mkdir -p files/sub && head -c 100000 /dev/urandom >files/a && head -c 777 /dev/urandom >files/sub/b && "
                     "tar --format=ustar -C files -cf files.tar .")

    def pair(self):
        """A domain that grants, in PVH, and one that maps, in HVM; and what the first one offers."""
        owner, peer = Probe(self, "owner", "pvh"), Probe(self, "peer", "hvm")
        owner.ask("peer", peer.id)
        return owner, peer, f"{owner.id} {owner.answer('offer')}"

    def test_sleep_ends_when_it_is_to_end(self):
        self.assertGreaterEqual(int(Probe(self, "sleeper", "pvh").answer("sleep")), 50)

    def test_second_cpu(self):
        for kind in ("pvh", "hvm"):
            self.assertEqual(Probe(self, f"two-{kind}", kind, vcpus=2).answer("cpu1"), "counting", kind)

    def test_a_cpu_that_is_not_there(self):
        self.assertEqual(Probe(self, "one", "pvh").answer("cpu1"), "not-found")

    def test_files(self):
        sums = self.lab.dom0("cat files/a files/sub/b | od -An -v -tu1 -w1 | awk '{ s += $1 } END { print s }'").stdout
        for kind in ("pvh", "hvm"):
            probe = Probe(self, f"files-{kind}", kind, disk=["/root/files.tar,raw,xvde,r"])
            self.assertEqual(probe.answer("files"), f"2 100777 {sums.strip()}", kind)

    def test_registry(self):
        probe = Probe(self, "watcher", "pvh")
        probe.ask("echo/deep/key", "first")
        probe.becomes("data/probe/echo", "deep/key first")
        probe.ask("echo/deep/key", "")
        probe.becomes("data/probe/echo", "deep/key gone")
        probe.ask("echo/deep/key", "second")
        probe.becomes("data/probe/echo", "deep/key second")
        probe.remove("control/probe/echo")
        probe.becomes("data/probe/echo", "deep/key gone")

    def test_memory_and_doorbell(self):
        owner, peer, offer = self.pair()
        peer.ask("map", offer)
        self.assertEqual(peer.answer("mapped"), "ok")
        self.assertEqual(owner.answer("seen"), "ok")
        trips, nanoseconds = peer.answer("rung").split()
        print(f"{trips} round trips of a doorbell, {int(nanoseconds) / 1000:.0f} us each")
        self.assertEqual(trips, "1000")

    def test_revoked_memory(self):
        owner, peer, offer = self.pair()
        owner.ask("revoke")
        owner.answer("revoked")
        peer.ask("map", offer)
        self.assertEqual(peer.answer("mapped"), "permission")

    def test_revoked_memory_stays_where_it_is_mapped(self):
        owner, peer, offer = self.pair()
        peer.ask("map", offer)
        peer.answer("rung")
        owner.ask("revoke")
        owner.answer("revoked")
        peer.ask("unmap")
        peer.answer("unmapped")
        peer.ask("map", offer + " ")
        peer.becomes("data/probe/mapped", "permission")

    def test_memory_of_the_wrong_domain(self):
        owner, peer, _ = self.pair()
        owner.ask("peer", "0")
        offer = self.lab.wait_until("another offer", lambda: (o := owner.answer("offer")) != _ and o)
        peer.ask("map", f"{owner.id} {offer}")
        self.assertEqual(peer.answer("mapped"), "permission")

    def test_memory_of_a_dead_domain_stays(self):
        owner, peer, offer = self.pair()
        peer.ask("map", offer)
        peer.answer("rung")
        self.lab.dom0("xl destroy owner")
        peer.ask("unmap")
        peer.answer("unmapped")

    def test_end_in_good_order(self):
        probe = Probe(self, "ending", "pvh")
        probe.write("control/shutdown", "poweroff")
        self.lab.wait_until("the domain is shut down", lambda: "s" in probe.state())
        self.assertEqual(probe.read("data/exit"), "3")

    def test_panic(self):
        probe = Probe(self, "panicking", "pvh")
        probe.ask("panic")
        self.lab.wait_until("the domain has crashed", lambda: "c" in probe.state())
        self.assertEqual(probe.read("data/panic"), "the probe was asked to")
        console = self.lab.dom0("cat /var/log/xen/console/guest-panicking.log").stdout
        self.assertRegex(console, r"panic: the probe was asked to[\s\S]*0xffffffff8")

    def attach(self, probe):
        self.lab.dom0(f"xl pci-attach {probe.name} {self.lab.slot(0)}")
        listed = self.lab.dom0(f"xl pci-list {probe.name}").stdout
        slot = int(re.search(r"(?m)^([0-9a-f]+)\.0 +" + re.escape(self.lab.slot(0)), listed).group(1), 16)
        probe.write("device/nic/nic0", f"{slot} 02:00:00:00:00:07 1500")

    def test_nic(self):
        self.lab.dom0(f"xl pci-assignable-add {self.lab.slot(0)}")
        self.addCleanup(self.lab.dom0, f"xl pci-assignable-remove {self.lab.slot(0)}", check=False)
        probe = Probe(self, "driver", "hvm")
        for round_trip in (1, 2):
            self.attach(probe)
            probe.becomes("data/probe/nic", f"{round_trip} {E1000E} 131072 2")
            probe.becomes("data/probe/interrupt", f"{round_trip}")
            probe.ask("return", round_trip)
            probe.becomes("data/nic/nic0", "returned")
            self.lab.dom0(f"xl pci-detach driver {self.lab.slot(0)}")
            self.assertIn(self.lab.slot(0), self.lab.dom0("xl pci-assignable-list").stdout)
            probe.remove("device/nic/nic0")


if __name__ == "__main__":
    runner.main()
