// Doorbells between domains: event channels. Loop thread only, but for Signal.
#pragma once

#include "guest/platform/xen/events.h"

namespace librettos::xen {

Result<EventPort*> OfferPort(Events& events, DomainId peer);
Result<EventPort*> BindPort(Events& events, DomainId owner, PortNumber port);

}  // namespace librettos::xen
