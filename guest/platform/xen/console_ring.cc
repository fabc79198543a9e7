#include "guest/platform/xen/console_ring.h"

#include <string_view>

#include "guest/platform/xen/console.h"
#include "guest/platform/xen/events.h"
#include "guest/platform/xen/hypercall.h"
#include "guest/platform/xen/shared_info.h"

namespace librettos::xen {
namespace {

constinit xencons_interface* ring = nullptr;
constinit evtchn_port_t port = 0;

void Write(std::string_view text) {
  // Acquire: the reader is done with what it consumed. An index that makes no sense reads as a full ring.
  const uint32_t consumed = __atomic_load_n(&ring->out_cons, __ATOMIC_ACQUIRE);
  uint32_t produced = ring->out_prod;
  for (const char c : text) {
    if (produced - consumed >= sizeof(ring->out)) break;
    ring->out[MASK_XENCONS_IDX(produced++, ring->out)] = c;
  }
  // Release: the text is there before the index says so.
  __atomic_store_n(&ring->out_prod, produced, __ATOMIC_RELEASE);
  Events::Send(port);
}

}  // namespace

void InitConsoleRing() {
  const uint64_t frame = HvmParameter(HVM_PARAM_CONSOLE_PFN);
  port = static_cast<evtchn_port_t>(HvmParameter(HVM_PARAM_CONSOLE_EVTCHN));
  if (frame == 0 || port == 0) return;
  ring = static_cast<xencons_interface*>(MapSharedPage(frame * kPageSize));
  SetConsole(&Write);
}

}  // namespace librettos::xen
