// Columns of the statistics rows that a network server publishes (guest/platform/statistics.h).
//
// Each X(name, column): `name` is the counter's name in the API, `column` its place, which never changes.
#pragma once

#include <cstdint>

// Why the server did not hand a frame on. Fate 0 is "forwarded".
#define LIBRETTOS_DROP_REASONS(X)                                                           \
  X(malformed, 16)           /* Truncated or inconsistent headers. */                       \
  X(unknown_destination, 17) /* No guest, lease or wire for it. */                          \
  X(spoofed_mac, 18)         /* Source MAC is not the sender's. */                          \
  X(spoofed_address, 19)     /* Source IP, ARP or ND address is not the sender's. */        \
  X(unleased_port, 20)       /* Source port not leased by the sender. */                    \
  X(ring_full, 21)           /* The guest's receive ring had no room. */                    \
  X(nic_full, 22)            /* Gave up on the NIC. */                                      \
  X(too_long, 23)            /* Longer than the receiver can take. */                       \
  X(fragment_unmatched, 24)  /* A fragment whose first was not seen in time. */             \
  X(unsupported, 25)         /* A protocol that cannot be forwarded to a shared address. */ \
  X(no_nic, 26)              /* The server has no NIC now. */                               \
  X(flood_limited, 27)       /* More frames to everybody than a guest may send. */

#define LIBRETTOS_SERVER_COUNTERS(X)                                                       \
  X(rx_frames, 0) /* Towards the guest (row 0: from the NIC). */                           \
  X(rx_bytes, 1)                                                                           \
  X(tx_frames, 2) /* From the guest (row 0: to the NIC). */                                \
  X(tx_bytes, 3)                                                                           \
  X(events_sent, 4) /* Doorbells rung. */                                                  \
  X(events_received, 5)                                                                    \
  X(local_frames, 6) /* Guest to guest. */                                                 \
  X(leases, 7)       /* Held now. */                                                       \
  X(violation, 8)    /* channel::Violation that closed it, else 0. */                      \
  X(epoch, 9)        /* Row 0: of the last activation. */                                  \
  X(lease_refusals, 10)                                                                    \
  X(replayed_frames, 11) /* Found unconsumed in the transmit rings at activation. */       \
  X(rests, 12)           /* Times that it was left alone for wasting the server's time. */ \
  LIBRETTOS_DROP_REASONS(X)

namespace librettos::netserver {

enum class Counter : uint8_t {
#define LIBRETTOS_COLUMN(name, column) k_##name = column,
  LIBRETTOS_SERVER_COUNTERS(LIBRETTOS_COLUMN)
#undef LIBRETTOS_COLUMN
};

}  // namespace librettos::netserver
