#include "guest/platform/xen/ports.h"

#include <new>

namespace librettos::xen {
namespace {

class XenPort final : public EventPort {
 public:
  XenPort(Events& events, evtchn_port_t local, PortNumber number)
      : events_(events), local_(local), number_(number) {}
  PortNumber number() const override { return number_; }
  void Signal() override { Events::Send(local_); }
  void SetHandler(Handler* handler) override { events_.SetHandler(local_, handler); }
  void Close() override {
    events_.Close(local_);
    delete this;
  }

 private:
  Events& events_;
  const evtchn_port_t local_;
  const PortNumber number_;  // As the offering domain calls it.
};

Result<EventPort*> Make(Events& events, Result<evtchn_port_t> local, PortNumber number) {
  if (!local.ok()) return local.error();
  return static_cast<EventPort*>(new XenPort(events, *local, number));
}

}  // namespace

Result<EventPort*> OfferPort(Events& events, DomainId peer) {
  auto local = events.AllocateUnbound(peer);
  return Make(events, local, local.ok() ? *local : 0);
}

Result<EventPort*> BindPort(Events& events, DomainId owner, PortNumber port) {
  return Make(events, events.BindInterdomain(owner, port), port);
}

}  // namespace librettos::xen
