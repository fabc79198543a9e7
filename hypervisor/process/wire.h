// Messages between the daemon and a process domain, one SOCK_SEQPACKET packet each.
//
// Both sides run on one host: no byte order, but a version in the hello. The daemon trusts nothing that a
// domain sends: sizes, types, path characters and descriptor counts are checked, a violation disconnects and
// is counted. A domain trusts its daemon. The protocol is described in docs/protocols.md.
#pragma once

#include <cstdint>

namespace librettos::process {

inline constexpr uint32_t kWireVersion = 1;
inline constexpr uint32_t kMaxPathBytes = 255;
inline constexpr uint32_t kMaxValueBytes = 1024;

// The descriptor number at which a new domain finds its listening control socket; the only one it is handed.
inline constexpr int kControlDescriptor = 3;
// Environment of a domain: how many CPUs it has; absent: one. Nothing else stands there.
inline constexpr char kCpusVariable[] = "LIBRETTOS_CPUS";

enum class WireType : uint16_t {
  // Daemon to domain.
  kHello = 1,  // number: the domain's id; a: kWireVersion. First message of a connection.
  kKey,        // path, value; a: 1 present, 0 gone. A watch fired, or its first state.
  kMapReply,   // id of the request; a: Error; b: size in bytes; descriptor: memfd.
  kBindReply,  // id; a: Error; descriptors: [to signal the peer, to wait for the peer]
  kDevice,     // path: NIC name; number: of this giving; a: DeviceKind; b: MTU; value: 6 bytes of address;
               // descriptor.
  kSynced,     // path: of a kWatch; all keys at and below it that exist were sent, after that kWatch.
  // Domain to daemon.
  kPublish = 64,  // path, value
  kRemove,        // path
  kWatch,         // path
  kUnwatch,       // path
  kGrant,         // number: grant reference; a: peer; b: 1 writable; descriptor: memfd
  kRevoke,        // number
  kOffer,         // number: port; a: peer; descriptors: [what the peer signals, what the peer waits for]
  kClosePort,     // number
  kMap,           // id; a: owner; number: reference; b: 1 writable
  kBind,          // id; a: owner; number: port
  // path: NIC name; number: of the giving that is over. Declared again until the NIC is given anew, as it may
  // have
  // been lost with its connection.
  kReturnDevice,
  kHolding,   // path: NIC name; number: of the giving; descriptor. Re-declaration after a reconnection.
  kDeclared,  // End of the re-declaration.
};

// Followed by path_bytes of path, then value_bytes of value.
struct WireHeader {
  uint16_t type;
  uint16_t path_bytes;
  uint32_t value_bytes;
  uint32_t id;
  uint32_t number;
  uint32_t a;
  uint32_t reserved;
  uint64_t b;
};
static_assert(sizeof(WireHeader) == 32);

// What the word of a domain's life holds until the kernel marks it (guest/platform/process/life.h): a robust
// futex (set_robust_list(2), futex(2)) of the first thread of a PID namespace, which is 1 there, with
// FUTEX_WAITERS: somebody is to be woken.
inline constexpr uint32_t kAlive = 1u | 0x80000000;

}  // namespace librettos::process
