// The device model of a domain that is to be destroyed.
#pragma once

#include <string>

#include "hypervisor/hypervisor.h"

namespace librettos::xen {

// Ends it at once. libxl would ask it to eject the domain's PCI functions, which a domain that runs no more
// does not answer, and wait ten seconds for each. Does nothing if it is gone. Any thread.
void KillDeviceModel(hypervisor::DomainId domain);

// Whether `arguments` (of a process, each ended by a zero byte) are those of the domain's device model.
bool IsDeviceModelOf(hypervisor::DomainId domain, const std::string& arguments);

}  // namespace librettos::xen
