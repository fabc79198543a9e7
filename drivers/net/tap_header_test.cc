#include "drivers/net/tap_header.h"

#include <gtest/gtest.h>

namespace librettos {
namespace {

constexpr Offload kTcp4{.needs_checksum = true,
                        .segmentation = Segmentation::kTcp4,
                        .segment_bytes = 1448,
                        .header_bytes = 66,
                        .checksum_start = 34,
                        .checksum_offset = 16};

TEST(TapHeader, RoundTripKeepsTheOffload) {
  Offload tcp6 = kTcp4;
  tcp6.segmentation = Segmentation::kTcp6;
  Offload checksum{.needs_checksum = true, .checksum_start = 34, .checksum_offset = 6};
  for (const Offload& offload : {Offload{}, Offload{.checksum_valid = true}, kTcp4, tcp6, checksum}) {
    VnetHeader header;
    Offload back;
    ASSERT_TRUE(ToHeader(offload, 5000, header));
    ASSERT_TRUE(FromHeader(header, 5000, back));
    EXPECT_EQ(back, offload);
  }
}

TEST(TapHeader, ChecksumMustLieWithinTheFrame) {
  VnetHeader header;
  Offload back;
  EXPECT_TRUE(ToHeader(kTcp4, 52, header));
  EXPECT_TRUE(FromHeader(header, 52, back));
  EXPECT_FALSE(ToHeader(kTcp4, 51, header));
  EXPECT_FALSE(FromHeader({.flags = VnetHeader::kNeedsChecksum,
                           .gso_type = 0,
                           .hdr_len = 0,
                           .gso_size = 0,
                           .csum_start = 34,
                           .csum_offset = 16},
                          51, back));
  // The sum of the offsets must not wrap.
  EXPECT_FALSE(FromHeader({.flags = VnetHeader::kNeedsChecksum,
                           .gso_type = 0,
                           .hdr_len = 0,
                           .gso_size = 0,
                           .csum_start = 65535,
                           .csum_offset = 65535},
                          1500, back));
  Offload in_ethernet = kTcp4;
  in_ethernet.checksum_start = 13;
  EXPECT_FALSE(ToHeader(in_ethernet, 1500, header));
}

TEST(TapHeader, SegmentationNeedsChecksumAndSize) {
  VnetHeader header;
  Offload offload = kTcp4;
  offload.segment_bytes = 0;
  EXPECT_FALSE(ToHeader(offload, 5000, header));
  offload = kTcp4;
  offload.needs_checksum = false;
  EXPECT_FALSE(ToHeader(offload, 5000, header));
  Offload back;
  EXPECT_FALSE(FromHeader({.flags = 0,
                           .gso_type = VnetHeader::kTcp4,
                           .hdr_len = 0,
                           .gso_size = 1448,
                           .csum_start = 0,
                           .csum_offset = 0},
                          5000, back));
}

TEST(TapHeader, UnknownSegmentationIsRefused) {
  Offload back;
  for (const int type : {3, 5, 0x81, 0xff}) {
    EXPECT_FALSE(FromHeader({.flags = VnetHeader::kNeedsChecksum,
                             .gso_type = static_cast<uint8_t>(type),
                             .hdr_len = 0,
                             .gso_size = 1448,
                             .csum_start = 34,
                             .csum_offset = 16},
                            5000, back))
        << type;
  }
  VnetHeader header;
  Offload offload = kTcp4;
  offload.segmentation = static_cast<Segmentation>(7);
  EXPECT_FALSE(ToHeader(offload, 5000, header));
}

TEST(TapHeader, LengthAndHintAreBounded) {
  VnetHeader header;
  EXPECT_FALSE(ToHeader({}, 13, header));
  EXPECT_FALSE(ToHeader({}, 65536, header));
  EXPECT_TRUE(ToHeader({}, 65535, header));
  Offload offload = kTcp4;
  offload.header_bytes = 9999;
  ASSERT_TRUE(ToHeader(offload, 100, header));
  EXPECT_LE(header.hdr_len, 100);
}

}  // namespace
}  // namespace librettos
