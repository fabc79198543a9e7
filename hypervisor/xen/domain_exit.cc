#include "hypervisor/xen/domain_exit.h"

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace librettos::xen {
namespace {

constexpr size_t kMaxPanicBytes = 200;

// xen/include/public/sched.h.
enum Shutdown : unsigned { kPoweroff, kReboot, kSuspend, kCrash, kWatchdog, kSoftReset };

std::string Printable(const std::string& text) {
  std::string printable = text.substr(0, kMaxPanicBytes);
  for (char& c : printable) {
    if (!absl::ascii_isprint(static_cast<unsigned char>(c))) c = '?';
  }
  return printable;
}

}  // namespace

hypervisor::DomainExit ExitOf(unsigned reason, const std::string& exit_status, const std::string& panic,
                              const std::string& registers) {
  int status;
  switch (reason) {
    case kPoweroff:
      if (!absl::SimpleAtoi(exit_status, &status)) {
        return {.orderly = false, .description = "powered off without an exit status"};
      }
      return {.orderly = status == 0, .description = absl::StrCat("exit status ", status)};
    case kReboot:
      // No image of ours asks for it: it is how a triple fault ends.
      return {.orderly = false,
              .description = absl::StrCat("asked to be restarted, or triple fault: ", registers)};
    case kSuspend:
      return {.orderly = false, .description = "suspended itself"};
    case kCrash:
      return {.orderly = false,
              .description = panic.empty() ? "crashed" : absl::StrCat("crashed: ", Printable(panic))};
    case kWatchdog:
      return {.orderly = false, .description = "was stopped by its watchdog"};
    case kSoftReset:
      return {.orderly = false, .description = "asked for a soft reset"};
    default:
      return {.orderly = false, .description = absl::StrCat("shut down for the unknown reason ", reason)};
  }
}

}  // namespace librettos::xen
