#include "guest/channel/lease_table.h"

#include <algorithm>

#include "guest/channel/view.h"

namespace librettos::channel {
namespace {

constexpr uint8_t kTcp = 6, kUdp = 17;  // IANA protocol numbers

constexpr uint32_t KeyOf(uint8_t protocol, uint16_t port) { return protocol | uint32_t{port} << 8; }
constexpr bool Possible(uint8_t protocol, uint16_t port) {
  return (protocol == kTcp || protocol == kUdp) && port != 0;
}

}  // namespace

void LeaseTable::Attach(std::byte* region) {
  header_ = HeaderOf(region);
  shared_ = LeasesOf(region);
}

Status LeaseTable::Declare(uint8_t protocol, uint16_t port, uint64_t sequence, uint64_t token) {
  if (!Possible(protocol, port)) return Error::kInvalidArgument;
  const uint32_t key = KeyOf(protocol, port);
  const auto used = keys_.begin() + count_;
  auto entry = std::find(keys_.begin(), used, key);
  if (entry == used) entry = std::find(keys_.begin(), used, 0u);
  if (entry == keys_.end()) return Error::kExhausted;
  const size_t i = static_cast<size_t>(entry - keys_.begin());
  *entry = key;
  DeclaredLease& lease = shared_[i];
  // An entry is free while its other words change. A server that reads a mixture all the same finds a token
  // that does not fit, and refuses it. Release on words[0]: it shows the words before it.
  lease.words[0].store(0, std::memory_order_release);
  lease.words[1].store(sequence, std::memory_order_relaxed);
  lease.words[2].store(token, std::memory_order_relaxed);
  lease.words[0].store(key, std::memory_order_release);
  if (i == count_) {
    ++count_;
    // Release: the entry is there before it is counted.
    header_->lease_count.store(count_, std::memory_order_release);
  }
  return {};
}

void LeaseTable::Withdraw(uint8_t protocol, uint16_t port) {
  const auto used = keys_.begin() + count_;
  const auto entry = std::find(keys_.begin(), used, KeyOf(protocol, port));
  if (entry == used || *entry == 0) return;
  *entry = 0;
  // Release: withdrawn before the release of the lease that is sent next.
  shared_[entry - keys_.begin()].words[0].store(0, std::memory_order_release);
}

size_t ReadLeases(std::byte* region, std::span<Lease> out) {
  // Acquire, here and below: see Declare.
  const uint32_t count = std::min(HeaderOf(region)->lease_count.load(std::memory_order_acquire), kMaxLeases);
  const DeclaredLease* shared = LeasesOf(region);
  size_t found = 0;
  for (uint32_t i = 0; i < count && found < out.size(); ++i) {
    const uint64_t key = shared[i].words[0].load(std::memory_order_acquire);
    const uint8_t protocol = static_cast<uint8_t>(key);
    const uint16_t port = static_cast<uint16_t>(key >> 8);
    if (key >> 24 != 0 || !Possible(protocol, port)) continue;
    out[found++] = {protocol, port, shared[i].words[1].load(std::memory_order_relaxed),
                    shared[i].words[2].load(std::memory_order_relaxed)};
  }
  return found;
}

}  // namespace librettos::channel
