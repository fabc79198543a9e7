#include "hypervisor/xen/domain_watch.h"

#include <errno.h>
#include <string.h>

#include "absl/strings/str_cat.h"

namespace librettos::xen {

absl::StatusOr<std::unique_ptr<DomainWatch>> DomainWatch::Create() {
  xc_interface* xen = xc_interface_open(nullptr, nullptr, 0);
  if (xen == nullptr) {
    return absl::UnavailableError(
        absl::StrCat("the hypervisor cannot be reached: ", strerror(errno), "; is this Xen's domain 0?"));
  }
  return std::unique_ptr<DomainWatch>(new DomainWatch(xen));
}

DomainWatch::~DomainWatch() { xc_interface_close(xen_); }

std::optional<DomainState> DomainWatch::StateOf(hypervisor::DomainId domain) {
  xc_dominfo_t info;
  // Answers with the first domain from this id on.
  if (xc_domain_getinfo(xen_, domain, 1, &info) != 1 || info.domid != domain) return std::nullopt;
  DomainState state;
  static_assert(sizeof(info.handle) == sizeof(state.uuid));
  memcpy(state.uuid.data(), info.handle, state.uuid.size());
  state.shut_down = info.shutdown || info.crashed;
  state.paused = info.paused;
  state.ended = state.shut_down || info.dying;
  state.reason = info.shutdown_reason;
  return state;
}

std::string DomainWatch::LastRegisters(hypervisor::DomainId domain) {
  HVM_SAVE_TYPE(CPU) cpu;
  if (xc_domain_hvm_getcontext_partial(xen_, domain, HVM_SAVE_CODE(CPU), 0, &cpu, sizeof cpu) != 0) return "";
  return absl::StrCat("rip ", absl::Hex(cpu.rip, absl::kZeroPad16), " rsp ",
                      absl::Hex(cpu.rsp, absl::kZeroPad16), " cr2 ", absl::Hex(cpu.cr2, absl::kZeroPad16),
                      " cr3 ", absl::Hex(cpu.cr3));
}

absl::Status DomainWatch::Pause(hypervisor::DomainId domain) {
  if (xc_domain_pause(xen_, domain) == 0) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("domain ", domain, " cannot be paused: ", strerror(errno)));
}

}  // namespace librettos::xen
