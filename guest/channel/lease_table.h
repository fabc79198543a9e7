// The guest's declared leases in channel memory (layout.h, DeclaredLease): written by the guest, read by
// servers.
#pragma once

#include <array>

#include "guest/channel/layout.h"
#include "guest/channel/server_end.h"
#include "guest/platform/result.h"

namespace librettos::channel {

// The guest's side. Which entries are in use is kept privately: servers can write the shared table.
class LeaseTable {
 public:
  // Declares all that is held in `region`, whose table is empty.
  void Attach(std::byte* region);
  // A second declaration of a (protocol, port) replaces the first. kExhausted after kMaxLeases.
  Status Declare(uint8_t protocol, uint16_t port, uint64_t sequence, uint64_t token);
  void Withdraw(uint8_t protocol, uint16_t port);
  // The shared table says what it was told to.
  bool Intact() const;

 private:
  Header* header_ = nullptr;
  DeclaredLease* shared_ = nullptr;
  struct Entry {
    uint32_t key = 0;  // protocol | port << 8; 0: free.
    uint64_t sequence = 0;
    uint64_t token = 0;
  };
  size_t Find(uint32_t key) const;
  void Show(size_t i);
  uint32_t count_ = 0;  // Entries from here on were never used.
  std::array<Entry, kMaxLeases> entries_ = {};
};

// The server's side: copies what is declared and well-formed, at most out.size(). Tokens are not verified.
size_t ReadLeases(std::byte* region, std::span<Lease> out);

}  // namespace librettos::channel
