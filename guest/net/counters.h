// Columns of statistics row 0 of a guest (guest/platform/statistics.h). See netserver/counters.h for the
// form.
#pragma once

#include <cstdint>

#define LIBRETTOS_GUEST_COUNTERS(X)                                                  \
  X(rx_frames, 0)                                                                    \
  X(rx_bytes, 1)                                                                     \
  X(tx_frames, 2)                                                                    \
  X(tx_bytes, 3)                                                                     \
  X(events_sent, 4)                                                                  \
  X(events_received, 5)                                                              \
  X(rx_checksum_errors, 6)                                                           \
  X(rx_dropped, 7) /* By the stack or for want of memory. */                         \
  X(tx_dropped, 8) /* The holding queue was full. */                                 \
  X(mode, 9)       /* 0 server, 1 preparing-direct, 2 direct, 3 preparing-server. */ \
  X(mode_changes, 10)                                                                \
  X(server_epoch, 11)                                                                \
  X(server_violations, 12) /* Servers whose ring content was refused. */             \
  X(connections, 13)       /* TCP connections open now. */                           \
  X(leases, 14)            /* Port leases held now. */                               \
  X(icmp_errors, 15)       /* Told to the UDP socket whose datagram they quote. */   \
  X(server_violation, 16)  /* channel::Violation of the last server_violations. */   \
  X(channel_renewals, 17)  /* New memory was offered after one. */

namespace librettos::guest {

enum class Counter : uint8_t {
#define LIBRETTOS_COLUMN(name, column) k_##name = column,
  LIBRETTOS_GUEST_COUNTERS(LIBRETTOS_COLUMN)
#undef LIBRETTOS_COLUMN
};

}  // namespace librettos::guest
