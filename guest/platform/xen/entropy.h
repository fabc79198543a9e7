// Source of Random() of platform.h: ChaCha20 (RFC 8439) as a generator, re-keyed after every request ("fast
// key erasure"), keyed at start and every 1 MiB from all there is: RDSEED or RDRAND, and the jitter of the
// time-stamp counter.
//
// Without RDRAND the key rests on jitter alone; a line on the console says so. Threading: any CPU.
#pragma once

#include <cstddef>
#include <span>

namespace librettos::xen {

// Called once by KernelMain, before the first Random().
void InitEntropy();

// Mixes in what else is particular to this start (the domain's UUID, the time of day). It can only add.
void MixEntropy(std::span<const std::byte> seed);

}  // namespace librettos::xen
