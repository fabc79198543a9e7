#include "guest/platform/xen/entropy.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "guest/platform/platform.h"
#include "guest/platform/xen/chacha20.h"
#include "guest/platform/xen/clock.h"
#include "guest/platform/xen/cpu.h"
#include "guest/platform/xen/spin_lock.h"

namespace librettos {
namespace xen {
namespace {

constexpr size_t kReseedAfter = 1 << 20;  // Bytes given out.
constexpr size_t kKeySize = sizeof(ChaCha20Key);

constinit SpinLock lock;
constinit ChaCha20Key key{};
constinit size_t given_out = 0;
constinit bool has_rdrand = false, has_rdseed = false;

// Bias and known failures (all zeros or ones, as some CPUs gave after a sleep) are no harm: the key only
// gains.
bool ReadRdrand(uint64_t* value) {
  for (int i = 0; i < 10; ++i) {
    bool ok = false;
    if (has_rdseed) asm volatile("rdseed %0; setc %1" : "=r"(*value), "=qm"(ok)::"cc");
    if (!ok) asm volatile("rdrand %0; setc %1" : "=r"(*value), "=qm"(ok)::"cc");
    if (ok && *value != 0 && *value != ~uint64_t{0}) return true;
  }
  return false;
}

// Time that a port access takes: it leaves to the hypervisor or crosses the chipset, so that its low bits
// vary.
uint64_t Jitter() {
  uint64_t value = 0;
  for (int i = 0; i < 32; ++i) {
    const uint64_t begin = ReadTsc();
    In8(0x61);
    value = (value << 7 | value >> 57) ^ (ReadTsc() - begin) ^ begin;
  }
  return value;
}

void Absorb(const ChaCha20Key& seed) {
  for (size_t i = 0; i < seed.size(); ++i) key[i] ^= seed[i];
  const ChaCha20Block block = ChaCha20(key, 0);
  std::copy_n(block.begin(), key.size(), key.begin());
}

bool Gather() {
  ChaCha20Key seed;
  bool strong = has_rdrand;
  for (size_t i = 0; i < seed.size(); i += 2) {
    uint64_t value = 0;
    if (has_rdrand && !ReadRdrand(&value)) strong = false;
    value ^= Jitter();
    seed[i] = static_cast<uint32_t>(value);
    seed[i + 1] = static_cast<uint32_t>(value >> 32);
  }
  Absorb(seed);
  given_out = 0;
  return strong;
}

void Generate(std::span<std::byte> out) {
  if (given_out >= kReseedAfter) Gather();
  given_out += out.size();
  ChaCha20Block block = ChaCha20(key, 0);
  ChaCha20Key next;
  std::copy_n(block.begin(), next.size(), next.begin());
  // The rest of the first block is not used: plainer, and requests are small.
  for (uint64_t counter = 1; !out.empty(); ++counter) {
    block = ChaCha20(key, counter);
    const size_t bytes = std::min(out.size(), sizeof block);
    memcpy(out.data(), block.data(), bytes);
    out = out.subspan(bytes);
  }
  // What was given out cannot be found again from the state.
  key = next;
}

}  // namespace

void InitEntropy() {
  has_rdrand = ReadCpuId(1).ecx & 1u << 30;
  has_rdseed = has_rdrand && ReadCpuId(0).eax >= 7 && ReadCpuId(7).ebx & 1u << 18;
  if (!Gather()) Log("entropy: the CPU gives no random numbers; keys rest on timing alone");
}

void MixEntropy(std::span<const std::byte> seed) {
  SpinLockHolder holder(lock);
  do {
    ChaCha20Key part{};
    const size_t bytes = std::min(seed.size(), kKeySize);
    if (bytes > 0) memcpy(part.data(), seed.data(), bytes);
    Absorb(part);
    seed = seed.subspan(bytes);
  } while (!seed.empty());
}

}  // namespace xen

void Random(std::span<std::byte> out) {
  xen::SpinLockHolder holder(xen::lock);
  xen::Generate(out);
}

}  // namespace librettos
