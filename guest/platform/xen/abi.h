// Xen's public binary interface, from Debian's libxen-dev, unchanged.
#pragma once

#include <stddef.h>
#include <stdint.h>

// Guests that name no version get the interface of Xen 3. This is the one of Xen 4.17.
#define __XEN_INTERFACE_VERSION__ 0x00040e00

#include <xen/xen.h>
// These need xen.h before them.
#include <xen/arch-x86/cpuid.h>
#include <xen/event_channel.h>
#include <xen/features.h>
#include <xen/grant_table.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/hvm_vcpu.h>
#include <xen/hvm/params.h>
#include <xen/io/blkif.h>
#include <xen/io/console.h>
#include <xen/io/protocols.h>
#include <xen/io/xs_wire.h>
#include <xen/memory.h>
#include <xen/physdev.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/version.h>

// xen/include/public/errno.h, those that are told apart here. Hypercalls return them negated.
namespace librettos::xen {
inline constexpr long kXenNoEntry = 2, kXenNoMemory = 12, kXenAccess = 13, kXenInvalid = 22, kXenNoSpace = 28,
                      kXenNotImplemented = 38;
}  // namespace librettos::xen
