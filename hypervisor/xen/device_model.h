// The device model of a domain: a process of domain 0 (QEMU) that is nobody's child but init's.
//
// Which process it is stands in xenstore, where nobody but domain 0 writes; that it is one of this domain, in
// its arguments, as process ids are used again.
#pragma once

#include <cstdint>
#include <string>

#include "hypervisor/hypervisor.h"

namespace librettos::xen {

// Its process id as recorded; 0: none is. Any thread.
int32_t DeviceModelPid(hypervisor::DomainId domain);

// A descriptor for the process (pidfd_open(2)), the caller's; -1: it is gone, or is not the domain's device
// model. Any thread.
int OpenDeviceModel(hypervisor::DomainId domain, int32_t pid);

// Ends it at once. libxl would ask it to eject the domain's PCI functions, which a domain that runs no more
// does not answer, and wait ten seconds for each. Does nothing if it is gone. Any thread.
void KillDeviceModel(hypervisor::DomainId domain);

// Whether `arguments` (of a process, each ended by a zero byte) are those of the domain's device model.
bool IsDeviceModelOf(hypervisor::DomainId domain, const std::string& arguments);

}  // namespace librettos::xen
