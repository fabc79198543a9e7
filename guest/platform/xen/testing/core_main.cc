// An image that checks the bare-metal core from inside, or breaks one of its rules, as the command line says.
#include <array>

#include "guest/platform/platform.h"
#include "guest/platform/xen/console.h"
#include "guest/platform/xen/hex.h"
#include "guest/platform/xen/memory.h"
#include "guest/platform/xen/start.h"
#include "guest/platform/xen/testing/check.h"
#include "guest/platform/xen/testing/fatal.h"

extern "C" uintptr_t __stack_chk_guard;

namespace librettos::xen {
namespace {

void Tell(std::string_view name, uint64_t value) {
  WriteConsole(name);
  WriteConsole(" ");
  Log(Hex(value).text());
}

// For comparison between two starts.
void TellSecrets() {
  std::array<uint64_t, 2> random;
  Random(std::as_writable_bytes(std::span(random)));
  Tell("random", random[0]);
  Tell("canary", __stack_chk_guard);
}

}  // namespace

void InitHypervisor() {}

void Check(std::string_view name, bool holds) {
  WriteConsole(holds ? "ok " : "FAILED ");
  Log(name);
}

int RunDomain() {
  Log("up");
  if (RunFatal(CommandLine())) return 1;
  uint64_t bytes = 0;
  for (const MemoryRange& range : Ram()) bytes += range.end - range.begin;
  Tell("ram", bytes);
  Tell("free", FreePageCount() * kPageSize);
  TellSecrets();
  CheckPageTable();
  if (CommandLineHas("large")) {
    auto* page = static_cast<volatile uint64_t*>(AllocatePages(1));
    *page = 1;
    Check("pages above 4 GiB serve",
          PhysicalOf(const_cast<uint64_t*>(page)) >= uint64_t{4} << 30 && *page == 1);
    return 0;
  }
  CheckMemory();
  CheckHeap();
  CheckProcessor();
  if (CommandLineHas("cpus")) CheckCpus();
  return 0;
}

}  // namespace librettos::xen
