#include "drivers/net/testing/frames.h"

#include <algorithm>
#include <cstring>

namespace librettos::fake {
namespace {

constexpr size_t kIp = 14;
constexpr uint8_t kFin = 1, kPsh = 8;

bool IsIp6(std::span<const std::byte> frame) { return Get16(frame, 12) == 0x86dd; }
uint8_t Get8(std::span<const std::byte> bytes, size_t at) { return static_cast<uint8_t>(bytes[at]); }
size_t TcpAt(std::span<const std::byte> frame) {
  return IsIp6(frame) ? kIp + 40 : kIp + (Get8(frame, kIp) & 15) * 4;
}
size_t PayloadAt(std::span<const std::byte> frame) {
  const size_t tcp = TcpAt(frame);
  return tcp + (Get8(frame, tcp + 12) >> 4) * 4;
}
uint32_t PseudoSum(std::span<const std::byte> frame, size_t tcp_bytes) {
  const bool ip6 = IsIp6(frame);
  return Sum(frame.subspan(ip6 ? kIp + 8 : kIp + 12, ip6 ? 32 : 8), static_cast<uint32_t>(tcp_bytes + 6));
}

}  // namespace

uint16_t Get16(std::span<const std::byte> bytes, size_t at) {
  return static_cast<uint16_t>(Get8(bytes, at) << 8 | Get8(bytes, at + 1));
}
uint32_t Get32(std::span<const std::byte> bytes, size_t at) {
  return static_cast<uint32_t>(Get16(bytes, at)) << 16 | Get16(bytes, at + 2);
}
void Put16(std::span<std::byte> bytes, size_t at, uint32_t value) {
  bytes[at] = static_cast<std::byte>(value >> 8);
  bytes[at + 1] = static_cast<std::byte>(value);
}
void Put32(std::span<std::byte> bytes, size_t at, uint32_t value) {
  Put16(bytes, at, value >> 16);
  Put16(bytes, at + 2, value);
}

uint32_t Sum(std::span<const std::byte> bytes, uint32_t start) {
  uint64_t sum = start;
  for (size_t at = 0; at + 1 < bytes.size(); at += 2) sum += Get16(bytes, at);
  if (bytes.size() % 2) sum += static_cast<uint32_t>(bytes.back()) << 8;
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint32_t>(sum);
}

uint16_t Fold(uint32_t sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

Frame PlainFrame(const MacAddress& to, uint32_t length, uint8_t seed) {
  Frame frame(length);
  std::memcpy(frame.data(), to.data(), to.size());
  const MacAddress from = {2, 0, 0, 0, 1, seed};
  std::memcpy(frame.data() + 6, from.data(), from.size());
  Put16(frame, 12, 0x88b5);  // IEEE 802, local experimental.
  for (uint32_t i = kIp; i < length; ++i) frame[i] = static_cast<std::byte>(i * 7 + seed + (i >> 8));
  return frame;
}

Frame TcpFrame(const MacAddress& to, const TcpSpec& spec) {
  const uint32_t ip_bytes = spec.ip6 ? 40 : 20 + spec.ip_options;
  const uint32_t tcp_bytes = 20 + spec.tcp_options;
  Frame frame = PlainFrame(to, static_cast<uint32_t>(kIp) + ip_bytes + tcp_bytes + spec.payload, 9);
  const size_t tcp = kIp + ip_bytes;
  Put16(frame, 12, spec.ip6 ? 0x86dd : 0x0800);
  if (spec.ip6) {
    Put32(frame, kIp, 0x60000000);
    Put16(frame, kIp + 4, tcp_bytes + spec.payload);
    Put16(frame, kIp + 6, 6 << 8 | 64);
  } else {
    Put16(frame, kIp, 0x4500 | (ip_bytes / 4) << 8);
    Put16(frame, kIp + 2, ip_bytes + tcp_bytes + spec.payload);
    Put16(frame, kIp + 4, 0xfffe);  // Wraps around.
    Put16(frame, kIp + 6, 0x4000);
    Put16(frame, kIp + 8, 64 << 8 | 6);
    std::fill_n(frame.begin() + kIp + 20, spec.ip_options, std::byte{1});
    Put16(frame, kIp + 10, 0);
    Put16(frame, kIp + 10, static_cast<uint16_t>(~Sum(std::span(frame).subspan(kIp, ip_bytes))));
  }
  Put32(frame, tcp + 4, 0xfffff000);  // Sequence; wraps around.
  Put16(frame, tcp + 12, (tcp_bytes / 4) << 12 | 0x10 | (spec.fin_psh ? kFin | kPsh : 0));
  Put16(frame, tcp + 14, 0x1000);
  Put16(frame, tcp + 16, 0);
  Put16(frame, tcp + 18, 0);
  std::fill_n(frame.begin() + tcp + 20, spec.tcp_options, std::byte{1});
  const size_t length = frame.size() - tcp;
  Put16(frame, tcp + 16,
        static_cast<uint16_t>(~Sum(std::span(frame).subspan(tcp), PseudoSum(frame, length))));
  return frame;
}

Offload MakePartial(Frame& frame, uint16_t segment_bytes) {
  const size_t tcp = TcpAt(frame);
  Put16(frame, tcp + 16, Fold(PseudoSum(frame, frame.size() - tcp)));
  Offload offload{
      .needs_checksum = true, .checksum_start = static_cast<uint16_t>(tcp), .checksum_offset = 16};
  if (segment_bytes) {
    offload.segmentation = IsIp6(frame) ? Segmentation::kTcp6 : Segmentation::kTcp4;
    offload.segment_bytes = segment_bytes;
    offload.header_bytes = static_cast<uint16_t>(PayloadAt(frame));
  }
  return offload;
}

std::string Wrong(const Frame& frame) {
  if (frame.size() < kIp + 40) return "too short";
  const size_t tcp = TcpAt(frame);
  if (tcp + 20 > frame.size()) return "TCP header cut off";
  const size_t ip_length = IsIp6(frame) ? 40u + Get16(frame, kIp + 4) : Get16(frame, kIp + 2);
  if (kIp + ip_length > frame.size() || (frame.size() > 60 && kIp + ip_length != frame.size()))
    return "IP length " + std::to_string(ip_length) + " in a frame of " + std::to_string(frame.size());
  if (!IsIp6(frame) && Sum(std::span(frame).subspan(kIp, tcp - kIp)) != 0xffff) return "IP checksum";
  const size_t tcp_bytes = kIp + ip_length - tcp;
  if (Fold(Sum(std::span(frame).subspan(tcp, tcp_bytes), PseudoSum(frame, tcp_bytes))) != 0xffff)
    return "TCP checksum";
  return "";
}

std::vector<Frame> Segments(const Frame& whole, uint32_t segment_bytes) {
  const size_t payload = PayloadAt(whole), tcp = TcpAt(whole);
  std::vector<Frame> segments;
  for (size_t done = payload; done < whole.size(); done += segment_bytes) {
    const size_t bytes = std::min<size_t>(segment_bytes, whole.size() - done);
    Frame segment(whole.begin(), whole.begin() + payload);
    segment.insert(segment.end(), whole.begin() + done, whole.begin() + done + bytes);
    std::span<std::byte> all(segment);
    Put16(all, IsIp6(whole) ? kIp + 4 : kIp + 2,
          static_cast<uint32_t>(segment.size() - kIp - (IsIp6(whole) ? 40 : 0)));
    if (!IsIp6(whole)) {
      Put16(all, kIp + 4, static_cast<uint32_t>(Get16(whole, kIp + 4) + segments.size()));
      Put16(all, kIp + 10, 0);
      Put16(all, kIp + 10, static_cast<uint16_t>(~Sum(all.subspan(kIp, tcp - kIp))));
    }
    Put32(all, tcp + 4, static_cast<uint32_t>(Get32(whole, tcp + 4) + (done - payload)));
    if (done + bytes < whole.size()) all[tcp + 13] &= std::byte{0xff & ~(kFin | kPsh)};
    Put16(all, tcp + 16, 0);
    Put16(all, tcp + 16, static_cast<uint16_t>(~Sum(all.subspan(tcp), PseudoSum(all, segment.size() - tcp))));
    segments.push_back(std::move(segment));
  }
  return segments;
}

std::string WrongSegments(const Frame& whole, std::span<const Frame> segments, uint32_t segment_bytes) {
  const size_t payload = PayloadAt(whole), tcp = TcpAt(whole);
  const size_t wanted = (whole.size() - payload + segment_bytes - 1) / segment_bytes;
  if (segments.size() != wanted)
    return std::to_string(segments.size()) + " segments, not " + std::to_string(wanted);
  size_t done = payload;
  for (size_t i = 0; i < segments.size(); ++i) {
    const Frame& segment = segments[i];
    const std::string which = "segment " + std::to_string(i) + ": ";
    const size_t bytes = std::min<size_t>(segment_bytes, whole.size() - done);
    const bool padded = payload + bytes < 60 && segment.size() == 60;
    if (segment.size() != payload + bytes && !padded) return which + "its size";
    if (const std::string wrong = Wrong(segment); !wrong.empty()) return which + wrong;
    if (std::memcmp(segment.data() + payload, whole.data() + done, bytes) != 0) return which + "its payload";
    if (Get32(segment, tcp + 4) != static_cast<uint32_t>(Get32(whole, tcp + 4) + (done - payload)))
      return which + "its sequence number";
    if (!IsIp6(whole) && Get16(segment, kIp + 4) != static_cast<uint16_t>(Get16(whole, kIp + 4) + i))
      return which + "its identification";
    const uint8_t only_last = i + 1 < segments.size() ? kFin | kPsh : 0;
    if (Get8(segment, tcp + 13) != (Get8(whole, tcp + 13) & ~only_last)) return which + "its flags";
    if (std::memcmp(segment.data(), whole.data(), 14) != 0) return which + "its Ethernet header";
    done += bytes;
  }
  return "";
}

}  // namespace librettos::fake
