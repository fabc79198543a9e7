// Control messages between a guest and its server, in ring order with the frames (descriptor flag kControl).
//
// At-least-once: a message under way when the server dies is seen again by its successor, so each is
// idempotent. A side that gets a message it does not know, of another size, or with a field out of range
// closes the channel.
#pragma once

#include <cstdint>

namespace librettos::channel {

enum class ControlType : uint16_t {
  // Guest to server.
  kLeaseRequest = 1,  // port 0: any free ephemeral port.
  kLeaseRelease = 2,
  kModeChanged = 3,  // value: DeclaredMode. On each queue pair, before all frames that follow the change. The
                     // guest declared the mode in the header before: the server takes it from there, so that
                     // a message that another pair's has overtaken brings no old mode back.
  // Server to guest.
  kLeaseReply = 16,  // Same id as the request; status; port, sequence and token if granted.
};

enum class LeaseStatus : uint16_t {
  kGranted = 0,
  kInUse = 1,
  kExhausted = 2,
  kNotShared = 3,
  kBadRequest = 4
};

struct ControlMessage {
  uint16_t type;     // ControlType
  uint16_t status;   // LeaseStatus in kLeaseReply, else 0
  uint32_t id;       // Chosen by the requester
  uint8_t protocol;  // IPPROTO_TCP (6) or IPPROTO_UDP (17)
  uint8_t zero[3];
  uint16_t port;  // Host byte order
  uint16_t zero2;
  uint64_t
      sequence;    // Of a granted lease: grows with every grant by any server of one network server resource.
  uint64_t token;  // SipHash-2-4 of (guest id, protocol, port, sequence) under the servers' key.
  uint32_t value;
  uint32_t zero3;
};
static_assert(sizeof(ControlMessage) == 40);

}  // namespace librettos::channel
