#include "guest/platform/xen/events.h"

#include <bit>

#include "guest/platform/xen/cpu.h"
#include "guest/platform/xen/hypercall.h"
#include "guest/platform/xen/shared_info.h"

namespace librettos::xen {
namespace {

constexpr unsigned kWordBits = 64;

// The shared words change under us; every access to them is atomic. Xen's own updates are ordered (locked
// instructions), and so are ours.
uint64_t Load(const xen_ulong_t& word) { return __atomic_load_n(&word, __ATOMIC_ACQUIRE); }
void Set(xen_ulong_t& word, unsigned bit) { __atomic_fetch_or(&word, uint64_t{1} << bit, __ATOMIC_SEQ_CST); }
void Clear(xen_ulong_t& word, unsigned bit) {
  __atomic_fetch_and(&word, ~(uint64_t{1} << bit), __ATOMIC_SEQ_CST);
}

vcpu_info& FirstCpu() { return SharedInfo()->vcpu_info[0]; }

// Has Dispatch() look at the ports of `word`.
void Announce(unsigned word) {
  Set(FirstCpu().evtchn_pending_sel, word);
  __atomic_store_n(&FirstCpu().evtchn_upcall_pending, 1, __ATOMIC_SEQ_CST);
}

Error ToError(long result) {
  switch (-result) {
    case kXenNoEntry:
      return Error::kNotFound;
    case kXenNoMemory:
    case kXenNoSpace:
      return Error::kExhausted;
    default:
      // Xen says EINVAL for a port that is not offered to us, and for one that does not exist.
      return Error::kPermission;
  }
}

Result<evtchn_port_t> Checked(long result, evtchn_port_t port) {
  if (result != 0) return ToError(result);
  if (port == 0 || port >= Events::kPorts) return Error::kExhausted;
  return port;
}

}  // namespace

void Events::Init() {
  for (xen_ulong_t& word : SharedInfo()->evtchn_mask) __atomic_store_n(&word, ~uint64_t{0}, __ATOMIC_SEQ_CST);
  xen_hvm_param_t callback = {};
  callback.domid = DOMID_SELF;
  callback.index = HVM_PARAM_CALLBACK_IRQ;
  callback.value = uint64_t{HVM_PARAM_CALLBACK_TYPE_VECTOR} << 56 | kEventVector;
  if (HvmOp(HVMOP_set_param, &callback) != 0) Panic("Xen has no callback vector");
}

Result<evtchn_port_t> Events::BindVirq(uint32_t virq) {
  evtchn_bind_virq_t bind = {};
  bind.virq = virq;
  const long result = EventChannelOp(EVTCHNOP_bind_virq, &bind);
  return Checked(result, bind.port);
}

Result<evtchn_port_t> Events::AllocateUnbound(DomainId peer) {
  if (peer >= DOMID_FIRST_RESERVED) return Error::kInvalidArgument;
  evtchn_alloc_unbound_t allocate = {};
  allocate.dom = DOMID_SELF;
  allocate.remote_dom = static_cast<domid_t>(peer);
  const long result = EventChannelOp(EVTCHNOP_alloc_unbound, &allocate);
  return Checked(result, allocate.port);
}

Result<evtchn_port_t> Events::BindInterdomain(DomainId owner, evtchn_port_t port) {
  if (owner >= DOMID_FIRST_RESERVED) return Error::kInvalidArgument;
  evtchn_bind_interdomain_t bind = {};
  bind.remote_dom = static_cast<domid_t>(owner);
  bind.remote_port = port;
  const long result = EventChannelOp(EVTCHNOP_bind_interdomain, &bind);
  return Checked(result, bind.local_port);
}

Result<evtchn_port_t> Events::BindPirq(uint32_t pirq) {
  evtchn_bind_pirq_t bind = {};
  bind.pirq = pirq;
  const long result = EventChannelOp(EVTCHNOP_bind_pirq, &bind);
  return Checked(result, bind.port);
}

void Events::Close(evtchn_port_t port) {
  SetHandler(port, nullptr);
  evtchn_close_t close = {.port = port};
  if (EventChannelOp(EVTCHNOP_close, &close) != 0) Panic("closed an event port that is none");
  // The number may be given out again.
  Clear(SharedInfo()->evtchn_pending[port / kWordBits], port % kWordBits);
}

void Events::Send(evtchn_port_t port) {
  evtchn_send_t send = {.port = port};
  EventChannelOp(EVTCHNOP_send, &send);
}

void Events::SetHandler(evtchn_port_t port, Handler* handler) {
  handlers_[port] = handler;
  const unsigned word = port / kWordBits, bit = port % kWordBits;
  if (!handler) return Set(SharedInfo()->evtchn_mask[word], bit);
  Clear(SharedInfo()->evtchn_mask[word], bit);
  // Xen raises nothing for a signal that came while the port was masked.
  if (Load(SharedInfo()->evtchn_pending[word]) >> bit & 1) Announce(word);
}

void Events::Raise(evtchn_port_t port) {
  Set(SharedInfo()->evtchn_pending[port / kWordBits], port % kWordBits);
  Announce(port / kWordBits);
}

bool Events::pending() const {
  return __atomic_load_n(&FirstCpu().evtchn_upcall_pending, __ATOMIC_ACQUIRE) != 0;
}

bool Events::Dispatch() {
  if (!pending()) return false;
  // Cleared before the bits are read: what comes after sets it again.
  __atomic_store_n(&FirstCpu().evtchn_upcall_pending, 0, __ATOMIC_SEQ_CST);
  uint64_t words = __atomic_exchange_n(&FirstCpu().evtchn_pending_sel, 0, __ATOMIC_SEQ_CST);
  bool any = false;
  for (; words != 0; words &= words - 1) {
    const unsigned word = std::countr_zero(words);
    uint64_t bits = Load(SharedInfo()->evtchn_pending[word]) & ~Load(SharedInfo()->evtchn_mask[word]);
    for (; bits != 0; bits &= bits - 1) {
      const unsigned bit = std::countr_zero(bits);
      // A handler before may have closed or silenced this one: then its signal stays.
      Handler* handler = handlers_[word * kWordBits + bit];
      if (!handler) continue;
      Clear(SharedInfo()->evtchn_pending[word], bit);
      handler->OnEvent();
      any = true;
    }
  }
  return any;
}

void Events::Await(evtchn_port_t port, Nanoseconds deadline) {
  sched_poll_t poll = {};
  set_xen_guest_handle(poll.ports, &port);
  poll.nr_ports = 1;
  poll.timeout = deadline;
  if (SchedOp(SCHEDOP_poll, &poll) != 0) Pause();
  Clear(SharedInfo()->evtchn_pending[port / kWordBits], port % kWordBits);
}

}  // namespace librettos::xen
