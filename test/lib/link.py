"""A host beyond an imperfect link (test/tools/link): delay, loss, duplication, reordering, a rate."""
import json
import subprocess

from lib.lab import run


class Link:
    """While entered: a namespace `name` with the address 10.77.0.<number>, whose eth0 is on the lab's wire by way of the link.

    `options` are those of test/tools/link; what they say "from the first to the second" is towards the host. `counters` afterwards.
    """

    def __init__(self, lab, name, number, *options):
        self.lab, self.name, self.number, self.options = lab, name, number, options
        self.counters = {}

    def __enter__(self):
        namespace, wire = self.lab.namespace(self.name), self.lab.namespace("wire")
        run("ip", "netns", "add", namespace)
        run("ip", "-n", namespace, "link", "set", "lo", "up")
        self._process = subprocess.Popen(
            [self.lab.binary("test/tools/link"), f"{wire}:{self.name}", f"{namespace}:eth0", *map(str, self.options)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self._process.stdout.readline() != "ready\n":
            raise RuntimeError("the link did not start")
        run("ip", "-n", wire, "link", "set", self.name, "master", "br0", "up")
        run("ip", "-n", namespace, "addr", "add", f"10.77.0.{self.number}/24", "dev", "eth0")
        run("ip", "-n", namespace, "link", "set", "eth0", "up")
        return self

    def __exit__(self, *_):
        output, _ = self._process.communicate(timeout=10)
        self.counters = json.loads(output)
        run("ip", "netns", "del", self.lab.namespace(self.name))
