// The drivers on the devices that QEMU emulates, whose makers did not know of them.
#include <gtest/gtest.h>

#include "drivers/net/e1000e.h"
#include "drivers/net/testing/nic_conformance.h"
#include "drivers/net/testing/qemu_bench.h"
#include "drivers/net/virtio.h"

namespace librettos {
namespace {

using fake::Frame;
using fake::NicBench;
using fake::NicBenchKind;
using fake::NicConformance;
using fake::QemuBench;

const char kVirtio[] = "virtio-net-pci,disable-legacy=on,mac=52:54:00:65:43:21,vectors=4,rx_queue_size=256";

constexpr QemuBench::Traits kE1000eTraits = {.filters = true}, kVirtioTraits = {.can_hold = true};

template <bool msi_x>
std::unique_ptr<NicBench> E1000e() {
  return std::make_unique<QemuBench>("e1000e,mac=52:54:00:12:34:56", &E1000eNic::Create, kE1000eTraits,
                                     msi_x);
}
std::unique_ptr<NicBench> Virtio() {
  return std::make_unique<QemuBench>(kVirtio, &VirtioNic::Create, kVirtioTraits);
}
std::unique_ptr<NicBench> VirtioPlain() {
  return std::make_unique<QemuBench>(std::string(kVirtio) + ",event_idx=off,csum=off,guest_csum=off",
                                     &VirtioNic::Create, kVirtioTraits);
}

INSTANTIATE_TEST_SUITE_P(Qemu, NicConformance,
                         testing::Values(NicBenchKind{"E1000e", E1000e<true>},
                                         NicBenchKind{"E1000eMsi", E1000e<false>},
                                         NicBenchKind{"Virtio", Virtio},
                                         NicBenchKind{"VirtioPlain", VirtioPlain}),
                         fake::NameOfKind);

TEST(QemuVirtio, ReceivesWholeLargeFrames) {
  QemuBench bench(kVirtio, &VirtioNic::Create, kVirtioTraits);
  if (!bench.missing().empty()) GTEST_SKIP() << bench.missing();
  std::unique_ptr<Nic> nic(*bench.Open({}, 1500));
  EXPECT_EQ(nic->address(), (MacAddress{0x52, 0x54, 0, 0x65, 0x43, 0x21}));
  std::vector<std::byte> buffer(kMaxFrameBytes + 1);
  for (bool ip6 : {false, true}) {
    Frame frame = fake::TcpFrame(nic->address(), {.ip6 = ip6, .payload = 60000});
    const Offload offload = fake::MakePartial(frame, 1400);
    bench.DeliverWhole(frame, offload);
    bench.Sync();
    InFrame in{.buffer = buffer, .offload = {}};
    ASSERT_EQ(nic->Receive({&in, 1}), 1u);
    EXPECT_EQ(in.length, frame.size());
    EXPECT_EQ(in.offload.segmentation, offload.segmentation);
    EXPECT_EQ(in.offload.segment_bytes, 1400);
    EXPECT_TRUE(in.offload.needs_checksum);
    EXPECT_TRUE(std::equal(frame.begin(), frame.end(), buffer.begin()));
  }
}

TEST(QemuE1000e, HasTheAddressInItsEepromAndSaysWhatItChecked) {
  QemuBench bench("e1000e,mac=52:54:00:12:34:56", &E1000eNic::Create, kE1000eTraits);
  if (!bench.missing().empty()) GTEST_SKIP() << bench.missing();
  std::unique_ptr<Nic> nic(*bench.Open({}, 1500));
  EXPECT_EQ(nic->address(), (MacAddress{0x52, 0x54, 0, 0x12, 0x34, 0x56}));
  std::vector<std::byte> buffer(2048);
  for (bool good : {true, false}) {
    Frame frame = fake::TcpFrame(nic->address(), {.payload = 500});
    if (!good) frame[100] ^= std::byte{1};
    bench.Deliver(frame);
    bench.Sync();
    InFrame in{.buffer = buffer, .offload = {}};
    ASSERT_EQ(nic->Receive({&in, 1}), 1u);
    EXPECT_EQ(in.offload.checksum_valid, good);
  }
}

}  // namespace
}  // namespace librettos
