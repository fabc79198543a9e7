// Wire formats of iperf 2 (2.0.10 and later), all fields big-endian 32-bit words.
//
// UDP data:   id, tv_sec, tv_usec, id2, flags, ... With kIperfSequence64 in flags the number is id2:id, else
// id alone.
//             A negative number is the end: its magnitude is the number of datagrams sent.
// UDP report: the 4 words of a datagram, flags, length high and low, stop sec and usec, lost, out of order,
// datagrams,
//             jitter sec and usec, 15 words of extended figures, then the upper halves of lost, out of order,
//             datagrams.
// TCP:        a client may begin with settings; all zero means a plain test, and a plain test's are ignored.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace librettos::apps {

inline constexpr uint32_t kIperfVersion1 = 0x80000000;    // Settings or report of version 1 are present.
inline constexpr uint32_t kIperfSequence64 = 0x08000000;  // Numbers are of 64 bits.
inline constexpr size_t kIperfDataBytes = 20;             // Of a UDP datagram's header with flags.
inline constexpr size_t kIperfReportBytes = 128;

struct IperfDatagram {
  int64_t number = 0;    // Negative: the last.
  uint64_t sent_us = 0;  // The sender's clock.
  bool sequence64 = false;
};

// False: too short to be one (12 bytes; the flags and id2 are optional).
bool ParseIperfDatagram(std::span<const std::byte> data, IperfDatagram* datagram);
// `out` has at least kIperfDataBytes.
void WriteIperfDatagram(const IperfDatagram& datagram, std::span<std::byte> out);

struct IperfReport {
  uint64_t bytes = 0;
  uint64_t duration_us = 0;
  uint64_t lost = 0;
  uint64_t out_of_order = 0;
  uint64_t datagrams = 0;  // That were sent, by the highest number.
  uint64_t jitter_us = 0;
};

// `out` has at least kIperfReportBytes.
void WriteIperfReport(const IperfReport& report, std::span<std::byte> out);
// False: not a report.
bool ParseIperfReport(std::span<const std::byte> data, IperfReport* report);

// The receiver's figures of one UDP test.
class IperfUdpTest {
 public:
  // A datagram of `bytes` arrived at `now_us`, by a clock that need not be the sender's. True: the test has
  // ended.
  bool OnDatagram(const IperfDatagram& datagram, size_t bytes, uint64_t now_us);
  IperfReport report() const;
  bool ended() const { return ended_; }

 private:
  bool started_ = false, ended_ = false;
  uint64_t start_us_ = 0, last_us_ = 0;
  int64_t last_transit_us_ = 0;
  uint64_t jitter_16_us_ = 0;  // Sixteen times the jitter (RFC 1889, appendix A.8).
  int64_t highest_ = -1;       // Number.
  int64_t first_ = 0;
  uint64_t bytes_ = 0, lost_ = 0, out_of_order_ = 0;
};

}  // namespace librettos::apps
