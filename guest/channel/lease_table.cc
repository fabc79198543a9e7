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
  for (size_t i = 0; i < count_; ++i) Show(i);
  // Release: the entries are there before they are counted.
  header_->lease_count.store(count_, std::memory_order_release);
}

// An entry is free while its other words change. A server that reads a mixture all the same finds a token
// that does not fit, and refuses it. Release on words[0]: it shows the words before it.
void LeaseTable::Show(size_t i) {
  DeclaredLease& lease = shared_[i];
  lease.words[0].store(0, std::memory_order_release);
  lease.words[1].store(entries_[i].sequence, std::memory_order_relaxed);
  lease.words[2].store(entries_[i].token, std::memory_order_relaxed);
  lease.words[0].store(entries_[i].key, std::memory_order_release);
}

// count_ if it is not there.
size_t LeaseTable::Find(uint32_t key) const {
  size_t i = 0;
  while (i < count_ && entries_[i].key != key) ++i;
  return i;
}

Status LeaseTable::Declare(uint8_t protocol, uint16_t port, uint64_t sequence, uint64_t token) {
  if (!Possible(protocol, port)) return Error::kInvalidArgument;
  const uint32_t key = KeyOf(protocol, port);
  size_t i = Find(key);
  if (i == count_) i = Find(0);
  if (i == kMaxLeases) return Error::kExhausted;
  entries_[i] = {key, sequence, token};
  Show(i);
  if (i == count_) {
    ++count_;
    // Release: the entry is there before it is counted.
    header_->lease_count.store(count_, std::memory_order_release);
  }
  return {};
}

void LeaseTable::Withdraw(uint8_t protocol, uint16_t port) {
  if (!Possible(protocol, port)) return;
  const size_t i = Find(KeyOf(protocol, port));
  if (i == count_) return;
  entries_[i] = {};
  // Release: withdrawn before the release of the lease that is sent next.
  shared_[i].words[0].store(0, std::memory_order_release);
}

bool LeaseTable::Intact() const {
  // Relaxed, all of it: these are words of our own, and who else writes them is none that orders anything.
  if (header_->lease_count.load(std::memory_order_relaxed) != count_) return false;
  for (size_t i = 0; i < count_; ++i) {
    const Entry& entry = entries_[i];
    const DeclaredLease& lease = shared_[i];
    if (lease.words[0].load(std::memory_order_relaxed) != entry.key) return false;
    if (entry.key && (lease.words[1].load(std::memory_order_relaxed) != entry.sequence ||
                      lease.words[2].load(std::memory_order_relaxed) != entry.token)) {
      return false;
    }
  }
  return true;
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
