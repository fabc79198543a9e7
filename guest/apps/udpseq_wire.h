// The numbered UDP stream by which tests and the demonstration measure loss and pauses; also spoken by
// test/tools/udpseq.
//
// A data packet is: number (8 bytes), the sender's monotonic time in nanoseconds (8 bytes), both big-endian,
// then zeros. Numbers start with 0. A datagram with one of the words below, and nothing else, is a question
// to a receiver.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "guest/apps/sequence_tracker.h"
#include "guest/apps/text.h"

namespace librettos::apps {

inline constexpr size_t kUdpseqHeaderBytes = 16;
inline constexpr size_t kUdpseqMaxBytes = 65507;
inline constexpr std::string_view kUdpseqReport =
    "report";  // Answered with the figures since the start or reset.
inline constexpr std::string_view kUdpseqReset = "reset";  // Forgets everything; answered with empty figures.

// The sum over some streams; the longest of their gaps.
struct UdpseqFigures {
  uint64_t received = 0, lost = 0, duplicates = 0, reordered = 0, late = 0, max_gap_us = 0;
  uint64_t first = 0, last = 0;  // Of the stream added last.
  uint64_t streams = 0;

  void Add(const SequenceTracker& stream);
  // One JSON object, without a new line.
  void AddJson(Text& out) const;
};

}  // namespace librettos::apps
