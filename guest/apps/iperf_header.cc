#include "guest/apps/iperf_header.h"

#include <algorithm>
#include <cstring>

#include "guest/apps/wire_bytes.h"

namespace librettos::apps {
namespace {

constexpr uint64_t kMillion = 1'000'000;

// Words of the report, counted from the datagram's start.
enum Word {
  kFlags = 4,
  kLengthHigh,
  kLengthLow,
  kStopSec,
  kStopUsec,
  kLost,
  kDisorder,
  kSent,
  kJitterSec,
  kJitterUsec,
  kLostHigh = 29,
  kDisorderHigh,
  kSentHigh
};
static_assert(4 * (kSentHigh + 1) == kIperfReportBytes);

}  // namespace

bool ParseIperfDatagram(std::span<const std::byte> data, IperfDatagram* datagram) {
  if (data.size() < 12) return false;
  const uint32_t id = Get32(data.data());
  datagram->sent_us = Get32(data.data() + 4) * kMillion + Get32(data.data() + 8);
  datagram->sequence64 = data.size() >= kIperfDataBytes && (Get32(data.data() + 16) & kIperfSequence64) != 0;
  datagram->number = datagram->sequence64 ? static_cast<int64_t>(uint64_t{Get32(data.data() + 12)} << 32 | id)
                                          : static_cast<int32_t>(id);
  return true;
}

void WriteIperfDatagram(const IperfDatagram& datagram, std::span<std::byte> out) {
  Put32(out.data(), static_cast<uint32_t>(datagram.number));
  Put32(out.data() + 4, static_cast<uint32_t>(datagram.sent_us / kMillion));
  Put32(out.data() + 8, static_cast<uint32_t>(datagram.sent_us % kMillion));
  Put32(out.data() + 12, static_cast<uint32_t>(static_cast<uint64_t>(datagram.number) >> 32));
  Put32(out.data() + 16, datagram.sequence64 ? kIperfSequence64 : 0);
}

void WriteIperfReport(const IperfReport& report, std::span<std::byte> out) {
  std::memset(out.data(), 0, kIperfReportBytes);
  const auto put = [&out](Word word, uint64_t value) {
    Put32(out.data() + 4 * word, static_cast<uint32_t>(value));
  };
  put(kFlags, kIperfVersion1 | kIperfSequence64);
  put(kLengthHigh, report.bytes >> 32);
  put(kLengthLow, report.bytes);
  put(kStopSec, report.duration_us / kMillion);
  put(kStopUsec, report.duration_us % kMillion);
  put(kLost, report.lost);
  put(kDisorder, report.out_of_order);
  put(kSent, report.datagrams);
  put(kJitterSec, report.jitter_us / kMillion);
  put(kJitterUsec, report.jitter_us % kMillion);
  put(kLostHigh, report.lost >> 32);
  put(kDisorderHigh, report.out_of_order >> 32);
  put(kSentHigh, report.datagrams >> 32);
}

bool ParseIperfReport(std::span<const std::byte> data, IperfReport* report) {
  if (data.size() < 4 * (kJitterUsec + 1)) return false;
  const auto get = [&data](Word word) { return uint64_t{Get32(data.data() + 4 * word)}; };
  const uint64_t flags = get(kFlags);
  if ((flags & kIperfVersion1) == 0) return false;
  report->bytes = get(kLengthHigh) << 32 | get(kLengthLow);
  report->duration_us = get(kStopSec) * kMillion + get(kStopUsec);
  report->lost = get(kLost);
  report->out_of_order = get(kDisorder);
  report->datagrams = get(kSent);
  report->jitter_us = get(kJitterSec) * kMillion + get(kJitterUsec);
  if ((flags & kIperfSequence64) != 0 && data.size() >= kIperfReportBytes) {
    report->lost |= get(kLostHigh) << 32;
    report->out_of_order |= get(kDisorderHigh) << 32;
    report->datagrams |= get(kSentHigh) << 32;
  }
  return true;
}

bool IperfUdpTest::OnDatagram(const IperfDatagram& datagram, size_t bytes, uint64_t now_us) {
  if (ended_) return true;
  // Unsigned: the two clocks differ by anything, and only differences of differences are used.
  const auto transit = static_cast<int64_t>(now_us - datagram.sent_us);
  const bool last = datagram.number < 0;
  // Of two's complement's lowest number there is no magnitude.
  const int64_t number = !last                          ? datagram.number
                         : datagram.number == INT64_MIN ? INT64_MAX
                                                        : -datagram.number;
  if (!started_) {
    started_ = true;
    start_us_ = now_us;
    // Versions differ in whether the first is 0 or 1.
    first_ = number <= 1 ? number : 1;
    highest_ = first_ - 1;
  } else if (!last) {
    const auto change =
        static_cast<int64_t>(static_cast<uint64_t>(transit) - static_cast<uint64_t>(last_transit_us_));
    const uint64_t size =
        change < 0 ? uint64_t{0} - static_cast<uint64_t>(change) : static_cast<uint64_t>(change);
    // A step of hours is a lie or a clock that was set: it must not drown the figure.
    if (size < 3600 * kMillion)
      jitter_16_us_ += size - std::min(size + jitter_16_us_, (jitter_16_us_ + 8) / 16);
  }
  last_transit_us_ = transit;
  last_us_ = now_us;
  bytes_ += bytes;
  if (number > highest_) {
    lost_ += static_cast<uint64_t>(number) - static_cast<uint64_t>(highest_) - 1;
    highest_ = number;
  } else if (!last) {
    ++out_of_order_;
    if (lost_ != 0) --lost_;
  }
  ended_ = last;
  return ended_;
}

IperfReport IperfUdpTest::report() const {
  return {.bytes = bytes_,
          .duration_us = last_us_ - start_us_,
          .lost = lost_,
          .out_of_order = out_of_order_,
          .datagrams = started_ ? static_cast<uint64_t>(highest_) - static_cast<uint64_t>(first_) + 1 : 0,
          .jitter_us = jitter_16_us_ / 16};
}

}  // namespace librettos::apps
