#include "guest/platform/xen/testing/fatal.h"

#include <cassert>
#include <cstdlib>
#include <cstring>
#include <new>

#include "guest/platform/platform.h"
#include "guest/platform/xen/cpu.h"
#include "guest/platform/xen/memory.h"
#include "guest/platform/xen/testing/sipi_starter.h"

extern "C" {
extern const std::byte ImageText[];
void __cxa_pure_virtual();
}

namespace librettos::xen {
namespace {

// The compiler must neither see what a pointer is, nor leave out an access.
template <class T>
T* Hidden(T* pointer) {
  asm volatile("" : "+r"(pointer)::"memory");
  return pointer;
}

void* At(uint64_t address) { return Hidden(reinterpret_cast<void*>(address)); }
void Write(void* at) { *static_cast<volatile uint8_t*>(at) = 0xc3; }

[[gnu::noinline]] int Overflow(int depth) {
  volatile char frame[256];
  frame[0] = static_cast<char>(depth);
  return depth < 0 ? 0 : Overflow(depth + 1) + frame[0];
}

[[gnu::noinline]] void Overrun(size_t bytes) {
  char buffer[16];
  memset(Hidden(&buffer[0]), 'x', bytes);
}

// With a table that ends after the double fault's entry, neither a page fault nor what follows can be
// delivered.
void DoubleFault() {
  struct [[gnu::packed]] {
    uint16_t limit;
    uint64_t base;
  } table;
  asm volatile("sidt %0" : "=m"(table));
  table.limit = 9 * 16 - 1;
  asm volatile("lidt %0" ::"m"(table));
  Write(At(0));
}

void FreeTwice(size_t bytes) {
  void* object = malloc(bytes);
  void* again = Hidden(object);
  free(object);
  free(again);
}

void ReleaseMapped() {
  void* at = ReserveVirtual(kPageSize);
  if (!MapPage(at, PhysicalOf(AllocatePages(1)), Access::kWritable).ok()) return;
  ReleaseVirtual(at, kPageSize);
}

void WriteReadOnlyMapping() {
  void* at = ReserveVirtual(kPageSize);
  if (!MapPage(at, PhysicalOf(AllocatePages(1)), Access::kReadOnly).ok()) return;
  Write(at);
}

void OverflowOnSecondCpu() {
  SetCpuStarter({.start = StartBySipi});
  if (!StartCpu(
           1, [](void*) { Overflow(0); }, nullptr)
           .ok())
    return;
  Halt();
}

struct Case {
  std::string_view name;
  void (*run)();
};

const Case kCases[] = {
    {"null-read", [] { (void)*static_cast<volatile uint64_t*>(At(8)); }},
    {"null-write", [] { Write(At(0)); }},
    {"null-call", [] { reinterpret_cast<void (*)()>(At(0))(); }},
    {"text-write", [] { Write(const_cast<std::byte*>(Hidden(ImageText))); }},
    {"text-alias-write", [] { Write(DirectAddress(PhysicalOf(ImageText))); }},
    {"constant-write", [] { Write(const_cast<char*>(Hidden("constant"))); }},
    {"data-execute",
     [] {
       static uint8_t code[16] = {0xc3};
       reinterpret_cast<void (*)()>(Hidden(&code[0]))();
     }},
    {"heap-execute",
     [] {
       auto* code = static_cast<uint8_t*>(malloc(16));
       Write(code);
       reinterpret_cast<void (*)()>(Hidden(code))();
     }},
    {"stack-overflow", [] { Overflow(0); }},
    {"second-stack-overflow", OverflowOnSecondCpu},
    {"stack-overrun", [] { Overrun(40); }},
    {"read-only-mapping-write", WriteReadOnlyMapping},
    {"divide",
     [] {
       int zero = 0;
       Hidden(&zero);
       asm volatile("idivl %0" ::"m"(zero), "a"(1), "d"(0));
     }},
    {"invalid-opcode", [] { asm volatile("ud2"); }},
    {"double-fault", DoubleFault},
    {"non-canonical", [] { (void)*static_cast<volatile uint8_t*>(At(0x800000000000)); }},
    {"panic", [] { Panic("as told"); }},
    {"assertion", [] { __assert_fail("x == y", "file.cc", 1, "f"); }},
    {"abort", [] { abort(); }},
    {"pure-virtual", __cxa_pure_virtual},
    {"free-small-twice", [] { FreeTwice(24); }},
    {"free-large-twice", [] { FreeTwice(100000); }},
    {"free-inside", [] { free(Hidden(static_cast<char*>(malloc(64)) + 16)); }},
    {"free-page-twice",
     [] {
       void* page = AllocatePages(1);
       FreePages(page, 1);
       FreePages(page, 1);
     }},
    {"release-mapped", ReleaseMapped},
    {"out-of-memory", [] { Hidden(operator new (size_t{1} << 30)); }},
};

}  // namespace

bool RunFatal(std::string_view command_line) {
  constexpr std::string_view kWord = "fatal=";
  const size_t at = command_line.find(kWord);
  if (at == command_line.npos) return false;
  command_line.remove_prefix(at + kWord.size());
  for (const Case& entry : kCases) {
    if (entry.name == command_line) entry.run();
  }
  return true;
}

}  // namespace librettos::xen
