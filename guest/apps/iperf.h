// The two sides of iperf 2: iperf -s [-p PORT], and iperf -c ADDRESS [-u] [-t S] [-P N] [-b RATE] [-l BYTES]
// [-p PORT].
#pragma once

#include <cstdint>

#include "guest/sockets/sockets.h"

namespace librettos::apps {

inline constexpr uint32_t kIperfMaxStreams = 64;

struct IperfClientOptions {
  sockets::Address peer;
  bool udp = false;
  uint64_t seconds = 10;
  uint32_t streams = 1;
  uint64_t bits_per_second = 1'000'000;  // Of each UDP stream.
  size_t bytes = 0;                      // Of one write or datagram.
};

// Serves TCP and UDP tests until sockets::Stopping(). Returns the domain's exit status.
int RunIperfServer(uint16_t port);
// Runs one test and logs its figures. Returns the domain's exit status.
int RunIperfClient(const IperfClientOptions& options);

// Logs "iperf: <what> <peer>: <bytes> bytes in <s> s, <x> Mbit/s<more>".
void LogIperfFigures(std::string_view what, const sockets::Address& peer, uint64_t bytes,
                     uint64_t duration_us, std::string_view more);

}  // namespace librettos::apps
