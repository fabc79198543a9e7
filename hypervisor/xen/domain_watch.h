// What Xen says about domains; asked when xenstore reports that some domain ended. Loop thread only; a
// hypercall each.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/xen/xen_headers.h"

namespace librettos::xen {

// xenstore's special key: changes when a domain shut down or is gone.
inline constexpr char kReleaseDomain[] = "@releaseDomain";

struct DomainState {
  std::array<uint8_t, 16> uuid;
  bool ended = false;  // Shut down or being destroyed: it runs no more.
  bool shut_down = false;
  bool paused = false;
  unsigned reason = 0;  // sched.h, SHUTDOWN_*; if shut_down.
};

class DomainWatch {
 public:
  static absl::StatusOr<std::unique_ptr<DomainWatch>> Create();
  ~DomainWatch();
  DomainWatch(const DomainWatch&) = delete;

  std::optional<DomainState> StateOf(hypervisor::DomainId domain);  // Nothing: there is no such domain.
  // Where its first CPU stood when it ended without a word of its own (a triple fault); empty if Xen does not
  // say.
  std::string LastRegisters(hypervisor::DomainId domain);
  // From its return on no CPU of the domain runs.
  absl::Status Pause(hypervisor::DomainId domain);

 private:
  explicit DomainWatch(xc_interface* xen) : xen_(xen) {}

  xc_interface* const xen_;
};

}  // namespace librettos::xen
