// Event channels (xen/include/public/event_channel.h), in Xen's two-level form: 4096 ports.
//
// Interrupts are off but while the loop sleeps, and then only end its sleep: what has happened is read from
// the shared page by Dispatch(). All ports are bound to the first CPU. Loop thread only, but for Send.
#pragma once

#include <array>

#include "guest/platform/platform.h"
#include "guest/platform/xen/abi.h"

namespace librettos::xen {

class Events {
 public:
  static constexpr size_t kPorts = EVTCHN_2L_NR_CHANNELS;

  // Masks all, and has events end a sleep. InitSharedInfo before.
  void Init();

  Result<evtchn_port_t> BindVirq(uint32_t virq);
  Result<evtchn_port_t> AllocateUnbound(DomainId peer);
  Result<evtchn_port_t> BindInterdomain(DomainId owner, evtchn_port_t port);
  Result<evtchn_port_t> BindPirq(uint32_t pirq);
  void Close(evtchn_port_t port);
  // Signals the other end; with nobody there, nothing happens. Any CPU.
  static void Send(evtchn_port_t port);

  // `handler` is called from Dispatch() once for any number of signals. nullptr: the port is masked, and a
  // signal is kept until there is a handler.
  void SetHandler(evtchn_port_t port, Handler* handler);

  // As if `port`, which has a handler, had been signalled.
  void Raise(evtchn_port_t port);

  // True if Dispatch() has something to do.
  bool pending() const;
  // Calls the handlers of all ports that were signalled, each once. True: any.
  bool Dispatch();

  // Sleeps until `port`, which has no handler, is signalled, or until `deadline`. For the domain's start and
  // for Files.
  void Await(evtchn_port_t port, Nanoseconds deadline);

 private:
  std::array<Handler*, kPorts> handlers_{};
};

}  // namespace librettos::xen
