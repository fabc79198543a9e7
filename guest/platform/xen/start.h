// How an image starts: what KernelMain reads, and what it calls.
//
// Order: console; first CPU and traps; start info; InitHypervisor; memory; clock; entropy; heap; static
// constructors; RunDomain; EndDomain(kFinished, its result).
#pragma once

#include <cstdint>
#include <string_view>

namespace librettos::xen {

// Address of hvm_start_info (xen/include/public/arch-x86/hvm/start_info.h) is given in %ebx by the loader.
// Its content is copied before memory is handed out.
//
// The command line, cut after 1023 characters; empty in HVM domains.
std::string_view CommandLine();
// True if `word` stands in the command line between spaces.
bool CommandLineHas(std::string_view word);

// ---- Defined by what an image links with this library ----------------------------------------------------
// Finds the hypervisor (CPUID) and sets the hooks: SetMemoryMapReader, SetEnd, SetCpuStarter. There is no
// heap, no clock, no Random, and no static constructor has run; the first 4 GiB are mapped. Not finding one
// is no error.
void InitHypervisor();
// Builds the Platform and calls DomainMain; returns its status.
int RunDomain();

}  // namespace librettos::xen
