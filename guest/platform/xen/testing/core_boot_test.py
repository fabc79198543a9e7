"""Boots the image that checks the bare-metal core from inside, under plain QEMU; each fatal case in a boot of its own."""
import re
import shutil
import subprocess
import unittest

from lib import runner

QEMU = "qemu-system-x86_64"
IMAGE = "guest/platform/xen/testing/core_image.elf"
GOOD_END, CRASH = 33, 255  # QEMU makes (n << 1) | 1 of what end.cc writes.
MISSING = f"{QEMU} is not installed (packaging/setup.sh --test)"


def boot(words="", memory="32M", cpus=1):
    """Returns QEMU's status and what the image wrote to COM1."""
    done = subprocess.run(
        [QEMU, "-M", "q35,accel=tcg", "-cpu", "max", "-m", memory, "-smp", str(cpus), "-nodefaults", "-display", "none", "-no-reboot",
         "-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-kernel", IMAGE,
         "-append", f"debug-exit {words}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
    return done.returncode, done.stdout.decode(errors="replace")


def value(output, name):
    found = re.search(rf"^{name} (0x[0-9a-f]+)\r?$", output, re.M)
    return int(found[1], 16) if found else None


@unittest.skipUnless(shutil.which(QEMU), MISSING)
class ChecksTest(unittest.TestCase):
    def check(self, words="", memory="32M", cpus=1, at_least=1):
        status, output = boot(words, memory, cpus)
        self.assertNotIn("FAILED", output)
        self.assertEqual(status, GOOD_END, output)
        self.assertGreaterEqual(len(re.findall("^ok ", output, re.M)), at_least, output)
        return output

    def test_all_checks_hold_with_32_mib(self):
        output = self.check(at_least=50)
        self.assertGreater(value(output, "ram"), 30 << 20)
        self.assertGreater(value(output, "free"), 30 << 20)

    def test_memory_above_4_gib_is_used(self):
        self.assertGreater(value(self.check("large", "6G"), "ram"), 5 << 30)

    def test_all_checks_hold_with_a_second_cpu(self):
        self.check("cpus", cpus=2, at_least=55)

    def test_secrets_differ_between_starts(self):
        first, second = boot()[1], boot()[1]
        for name in ("random", "canary"):
            self.assertIsNotNone(value(first, name), first)
            self.assertNotEqual(value(first, name), value(second, name), name)


@unittest.skipUnless(shutil.which(QEMU), MISSING)
class FatalTest(unittest.TestCase):
    def dies(self, case, report, cpus=1):
        status, output = boot(f"fatal={case}", cpus=cpus)
        self.assertRegex(output, report)
        self.assertRegex(output, r"(?m)^called from 0x", "no backtrace")
        self.assertEqual(status, CRASH, output)

    def trap(self, case, name, detail=""):
        self.dies(case, rf"(?s)trap: {name}, .*{detail}.*rip 0x[0-9a-f]+ rsp 0x")

    def test_null(self):
        self.trap("null-read", "page fault", "read of 0x8, where nothing is mapped")
        self.trap("null-write", "page fault", "write to 0x0, where nothing is mapped")
        self.trap("null-call", "page fault", "execution of 0x0, where nothing is mapped")

    def test_text_and_constants_cannot_be_written(self):
        for case in ("text-write", "text-alias-write", "constant-write"):
            self.trap(case, "page fault", "write to 0x[0-9a-f]+, which is protected")

    def test_a_read_only_mapping_cannot_be_written(self):
        self.trap("read-only-mapping-write", "page fault", "write to 0x[0-9a-f]+, which is protected")

    def test_data_cannot_be_executed(self):
        for case in ("data-execute", "heap-execute"):
            self.trap(case, "page fault", "execution of 0x[0-9a-f]+, which is protected")

    def test_a_stack_overflow_is_told(self):
        self.trap("stack-overflow", "page fault", "where nothing is mapped: stack overflow")

    def test_a_stack_overflow_of_a_further_cpu_is_told(self):
        self.dies("second-stack-overflow", "(?s)trap: page fault, .*CPU 0x1.*where nothing is mapped: stack overflow", cpus=2)

    def test_a_stack_overrun_is_noticed(self):
        self.dies("stack-overrun", "panic: stack overrun")

    def test_other_exceptions_are_named(self):
        self.trap("divide", "divide error")
        self.trap("invalid-opcode", "invalid opcode")
        self.trap("non-canonical", "general protection")

    def test_a_double_fault_is_told(self):
        self.trap("double-fault", "double fault")

    def test_panics_are_told(self):
        self.dies("panic", "panic: as told")
        self.dies("assertion", r"file\.cc\s+panic: x == y")
        self.dies("abort", "panic: abort")
        self.dies("pure-virtual", "panic: pure virtual call")

    def test_the_heap_notices_misuse(self):
        for case in ("free-small-twice", "free-large-twice", "free-inside"):
            self.dies(case, "panic: heap: freed")

    def test_the_page_allocator_notices_misuse(self):
        self.dies("free-page-twice", "panic: memory: page freed twice")

    def test_addresses_are_not_released_while_mapped(self):
        self.dies("release-mapped", "panic: memory: released addresses that are mapped")

    def test_exhausted_memory_ends_the_domain(self):
        self.dies("out-of-memory", "panic: out of memory")


if __name__ == "__main__":
    runner.main()
