// Exceptions: each is a broken invariant, and ends the domain with a report.
//
// The report names the exception, the registers, the address of a page fault, and the return addresses found
// along the frame pointers; symbols are in the image's unstripped file. Double faults, NMIs and machine
// checks have stacks of their own, so that an overflown stack is reported, too. A further exception during
// the report ends it.
#pragma once

#include <cstdint>

namespace librettos::xen {

// Loads the interrupt table, which all CPUs share. Called on each CPU before anything that may fault.
void LoadTraps();

// Writes the callers of the frame `frame_pointer` to the console.
void WriteBacktrace(uint64_t frame_pointer);

}  // namespace librettos::xen
