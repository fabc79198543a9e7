#include "guest/platform/xen/testing/sipi_starter.h"

#include <cstring>

#include "guest/platform/platform.h"
#include "guest/platform/xen/memory.h"
#include "guest/platform/xen/page_table.h"

extern "C" {
extern const std::byte Trampoline[], Trampoline64[], TrampolineParameters[], TrampolineEnd[];
void TrampolineHigh();
}

namespace librettos::xen {
namespace {

// As trampoline.S reads it.
struct [[gnu::packed]] Parameters {
  uint32_t cr3, unused;
  uint16_t gdt_limit;
  uint32_t gdt_base;
  uint32_t entry;
  uint16_t code_segment;
  uint32_t unused2;
  uint64_t rip, rsp, rdi, final_cr3, high;
  uint64_t gdt[2];
};
static_assert(sizeof(Parameters) == 80 && offsetof(Parameters, rip) == 24);

uint64_t* NewTable() { return static_cast<uint64_t*>(AllocatePages(1)); }

// The tables in use, and the first 2 MiB at their own address.
PhysicalAddress TablesWithIdentity() {
  uint64_t *top = NewTable(), *pointers = NewTable(), *directory = NewTable();
  memcpy(top, DirectAddress(PageTableRoot()), kPageSize);
  top[0] = PhysicalOf(pointers) | kPresent | kWritable;
  pointers[0] = PhysicalOf(directory) | kPresent | kWritable;
  directory[0] = kPresent | kWritable | kLarge;
  return PhysicalOf(top);
}

}  // namespace

Status StartBySipi(unsigned cpu, const CpuContext& context) {
  // Runs come from below; two pages, as single ones come from above.
  auto* page = static_cast<std::byte*>(AllocatePages(2));
  const PhysicalAddress at = PhysicalOf(page);
  if (at >= 1 << 20) return Error::kExhausted;
  const size_t parameters_at = TrampolineParameters - Trampoline;
  Parameters parameters{};
  parameters.cr3 = static_cast<uint32_t>(TablesWithIdentity());
  parameters.gdt[1] = 0x00af9b000000ffff;
  parameters.gdt_limit = sizeof parameters.gdt - 1;
  parameters.gdt_base = static_cast<uint32_t>(at + parameters_at + offsetof(Parameters, gdt));
  parameters.entry = static_cast<uint32_t>(at + (Trampoline64 - Trampoline));
  parameters.code_segment = 8;
  parameters.rip = context.rip;
  parameters.rsp = context.rsp;
  parameters.rdi = context.rdi;
  parameters.final_cr3 = context.cr3;
  parameters.high = reinterpret_cast<uint64_t>(&TrampolineHigh);
  memcpy(page, Trampoline, parameters_at);
  memcpy(page + parameters_at, &parameters, sizeof parameters);

  // Interrupt command register: Intel SDM volume 3, section 11.6.1.
  constexpr uint32_t kInit = 0x4500, kStartUp = 0x4600;
  auto* apic = static_cast<volatile std::byte*>(MapDevice(0xfee00000, kPageSize));
  const auto send = [&](uint32_t command) {
    *reinterpret_cast<volatile uint32_t*>(apic + 0x310) = cpu << 24;
    *reinterpret_cast<volatile uint32_t*>(apic + 0x300) = command;
    const Nanoseconds until = Now() + 10000000;
    while (Now() < until) Pause();
  };
  send(kInit);
  send(kStartUp | static_cast<uint32_t>(at / kPageSize));
  UnmapDevice(apic, kPageSize);
  return {};
}

}  // namespace librettos::xen
