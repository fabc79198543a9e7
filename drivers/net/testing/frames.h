// Ethernet frames for tests of NICs: made, cut as a device cuts them, and checked.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "guest/platform/frame.h"

namespace librettos::fake {

using Frame = std::vector<std::byte>;

// A frame of `length` bytes of no known protocol, whose content depends on `seed`.
Frame PlainFrame(const MacAddress& to, uint32_t length, uint8_t seed);

struct TcpSpec {
  bool ip6 = false;
  uint32_t payload = 0;
  uint32_t ip_options = 0;   // Bytes, of IPv4; a multiple of 4.
  uint32_t tcp_options = 0;  // Bytes, a multiple of 4.
  bool fin_psh = false;
};
// With all checksums right.
Frame TcpFrame(const MacAddress& to, const TcpSpec& spec);
// Makes the TCP checksum partial, as its offload says, and says so.
Offload MakePartial(Frame& frame, uint16_t segment_bytes = 0);

// What is wrong with a TCP/IPv4 or TCP/IPv6 frame from the wire: lengths, checksums. Empty: nothing.
std::string Wrong(const Frame& frame);
// Cuts a TCP frame as a host does that segments in software.
std::vector<Frame> Segments(const Frame& whole, uint32_t segment_bytes);
// What is wrong with `segments` as the segmentation of `whole`, which was made by TcpFrame, to at most
// `segment_bytes` each. Empty: nothing.
std::string WrongSegments(const Frame& whole, std::span<const Frame> segments, uint32_t segment_bytes);

// The internet checksum's sum over `bytes`, not complemented.
uint32_t Sum(std::span<const std::byte> bytes, uint32_t start = 0);
uint16_t Fold(uint32_t sum);
uint16_t Get16(std::span<const std::byte> bytes, size_t at);
uint32_t Get32(std::span<const std::byte> bytes, size_t at);
void Put16(std::span<std::byte> bytes, size_t at, uint32_t value);
void Put32(std::span<std::byte> bytes, size_t at, uint32_t value);

}  // namespace librettos::fake
