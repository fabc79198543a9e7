#include "drivers/net/e1000e.h"

#include <gtest/gtest.h>

#include "drivers/net/e1000e_offload.h"
#include "drivers/net/e1000e_registers.h"
#include "drivers/net/testing/e1000e_model.h"
#include "drivers/net/testing/hostile_device.h"
#include "drivers/net/testing/nic_conformance.h"

namespace librettos {
namespace {

using namespace e1000e;  // NOLINT: the registers' names.
using fake::E1000eModel;
using fake::Frame;
using fake::NicBenchKind;
using fake::NicConformance;

INSTANTIATE_TEST_SUITE_P(E1000e, NicConformance,
                         testing::Values(NicBenchKind{"MsiX",
                                                      []() -> std::unique_ptr<fake::NicBench> {
                                                        return std::make_unique<E1000eModel>(true, 5);
                                                      }},
                                         NicBenchKind{"MsiXOneVector",
                                                      []() -> std::unique_ptr<fake::NicBench> {
                                                        return std::make_unique<E1000eModel>(true, 1);
                                                      }},
                                         NicBenchKind{"Msi",
                                                      []() -> std::unique_ptr<fake::NicBench> {
                                                        return std::make_unique<E1000eModel>(false, 1);
                                                      }}),
                         fake::NameOfKind);

constexpr MacAddress kAddress = {2, 0, 0, 0, 0, 7};

class E1000eTest : public testing::Test {
 protected:
  void Open(const MacAddress& address = kAddress, uint32_t mtu = 1500) {
    Result<Nic*> nic = model_.Open(address, mtu);
    ASSERT_TRUE(nic.ok()) << ToString(nic.error());
    nic_.reset(*nic);
  }
  size_t Receive() {
    InFrame frame{.buffer = buffer_, .offload = {}};
    const size_t got = nic_->Receive({&frame, 1});
    offload_ = frame.offload;
    return got;
  }
  bool Transmit(const Frame& frame, const Offload& offload = {}) {
    const Part part{frame.data(), static_cast<uint32_t>(frame.size())};
    const OutFrame out{{&part, 1}, part.length, offload};
    return nic_->Transmit({&out, 1}) == 1;
  }

  E1000eModel model_{true, 5};
  std::unique_ptr<Nic> nic_;
  std::vector<std::byte> buffer_ = std::vector<std::byte>(16384);
  Offload offload_;
};

TEST_F(E1000eTest, UsesTheAddressInItsEepromIfNoneIsGiven) {
  Open({});
  EXPECT_EQ(nic_->address(), E1000eModel::kOwnAddress);
  model_.Deliver(fake::PlainFrame(E1000eModel::kOwnAddress, 100, 1));
  EXPECT_EQ(Receive(), 1u);
}

TEST_F(E1000eTest, SaysWhenTheDeviceCheckedAChecksum) {
  Open();
  for (bool ip6 : {false, true}) {
    model_.Deliver(fake::TcpFrame(kAddress, {.ip6 = ip6, .payload = 100}));
    ASSERT_EQ(Receive(), 1u);
    EXPECT_TRUE(offload_.checksum_valid);
    EXPECT_FALSE(offload_.needs_checksum);
  }
}

TEST_F(E1000eTest, WritesTheTailOncePerBatch) {
  Open();
  const Frame frame = fake::PlainFrame(kAddress, 100, 1);
  const Part part{frame.data(), 100};
  const std::vector<OutFrame> batch(32, OutFrame{{&part, 1}, 100, {}});
  const uint32_t before = model_.writes(kTdt);
  ASSERT_EQ(nic_->Transmit(batch), 32u);
  EXPECT_EQ(model_.writes(kTdt) - before, 1u);
}

TEST_F(E1000eTest, HoldsInterruptsBackOnlyUnderLoad) {
  Open();
  struct Drain final : Handler {
    void OnEvent() override {
      InFrame frame{.buffer = buffer, .offload = {}};
      while (nic->Receive({&frame, 1}) == 1) continue;
    }
    Nic* nic;
    std::span<std::byte> buffer;
  } handler;
  handler.nic = nic_.get();
  handler.buffer = buffer_;
  nic_->SetHandler(&handler);
  const auto burst = [&](int frames) {
    for (int i = 0; i < frames; ++i) model_.Deliver(fake::PlainFrame(kAddress, 100, 1));
    while (model_.Wait()) continue;
  };
  for (int i = 0; i < 10; ++i) burst(1);
  EXPECT_EQ(model_.reg(kEitr), 0u);
  for (int i = 0; i < 10; ++i) burst(100);
  EXPECT_EQ(model_.reg(kEitr) * kItrNanoseconds, Moderation::kBulk / kItrNanoseconds * kItrNanoseconds);
  for (int i = 0; i < 50; ++i) burst(1);
  EXPECT_EQ(model_.reg(kEitr), 0u);
}

// ---- A hostile device

TEST_F(E1000eTest, DropsLengthsBeyondTheBuffer) {
  Open();
  model_.SetLengthError(5000);
  model_.Deliver(fake::PlainFrame(kAddress, 100, 1));
  EXPECT_EQ(Receive(), 0u);
  EXPECT_EQ(nic_->counters().rx_errors, 1u);
  model_.SetLengthError(0);
  model_.Deliver(fake::PlainFrame(kAddress, 100, 1));
  EXPECT_EQ(Receive(), 1u);
}

TEST_F(E1000eTest, DropsLengthsBelowAHeader) {
  Open();
  model_.SetLengthError(static_cast<uint32_t>(-60));
  model_.Deliver(fake::PlainFrame(kAddress, 60, 1));
  EXPECT_EQ(Receive(), 0u);
  EXPECT_EQ(nic_->counters().rx_errors, 1u);
}

TEST_F(E1000eTest, DropsFramesWithErrors) {
  Open();
  model_.SetFrameError(true);
  model_.Deliver(fake::PlainFrame(kAddress, 100, 1));
  EXPECT_EQ(Receive(), 0u);
  EXPECT_EQ(nic_->counters().rx_errors, 1u);
}

TEST_F(E1000eTest, AFrameThatNeverEndsIsDroppedOnceTheRingIsFull) {
  Open();
  model_.SetNeverEnds(true);
  for (uint32_t i = 0; i < ReceiveRing::kDescriptors; ++i) model_.Deliver(fake::PlainFrame(kAddress, 100, 1));
  EXPECT_EQ(Receive(), 0u);
  EXPECT_EQ(nic_->counters().rx_errors, 1u);
  model_.SetNeverEnds(false);
  model_.Deliver(fake::PlainFrame(kAddress, 100, 1));
  EXPECT_LE(Receive(), 1u);
}

TEST_F(E1000eTest, IsNotOpenedIfTheResetHangs) {
  model_.SetResetHangs(true);
  EXPECT_FALSE(model_.Open(kAddress, 1500).ok());
  EXPECT_EQ(model_.pci().dma_blocks(), 0u);
}

TEST_F(E1000eTest, StopsThoughTheMasterNeverQuiets) {
  Open();
  model_.SetMasterHangs(true);
  nic_.reset();
  EXPECT_TRUE(model_.Quiet());
}

TEST_F(E1000eTest, IsNotOpenedWithoutMemoryOrInterrupts) {
  for (size_t blocks = 0; blocks < 4; ++blocks) {
    model_.pci().LimitDma(blocks);
    EXPECT_EQ(model_.Open(kAddress, 1500).error(), Error::kExhausted) << blocks;
    EXPECT_EQ(model_.pci().dma_blocks(), 0u);
  }
  model_.pci().LimitDma(4);
  model_.pci().SetInterrupts(true, 0);
  EXPECT_EQ(model_.Open(kAddress, 1500).error(), Error::kUnsupported);
  EXPECT_TRUE(model_.Quiet());
}

TEST_F(E1000eTest, OutlastsScribbling) {
  for (uint32_t seed = 0; seed < 20; ++seed) {
    Open();
    model_.SetHold(true);
    fake::Scribble(model_.pci(), *nic_, seed, 2000);
    nic_.reset();
    model_.SetHold(false);
    EXPECT_TRUE(model_.Quiet());
  }
}

// ---- Segmentation that must be refused

struct BadSegments {
  const char* name;
  void (*spoil)(Frame& frame, Offload& offload);
};

class E1000eBadSegments : public testing::TestWithParam<BadSegments> {};

TEST_P(E1000eBadSegments, AreRefusedAndCounted) {
  E1000eModel model(true, 5);
  std::unique_ptr<Nic> nic(*model.Open(kAddress, 1500));
  for (bool ip6 : {false, true}) {
    Frame frame = fake::TcpFrame(kAddress, {.ip6 = ip6, .payload = 5000});
    Offload offload = fake::MakePartial(frame, 1400);
    GetParam().spoil(frame, offload);
    const Part part{frame.data(), static_cast<uint32_t>(frame.size())};
    const OutFrame out{{&part, 1}, part.length, offload};
    EXPECT_EQ(nic->Transmit({&out, 1}), 1u);
  }
  EXPECT_EQ(nic->counters().tx_errors, 2u);
  EXPECT_TRUE(model.TakeSent().empty());
  EXPECT_EQ(model.Complaints(), "");
}

INSTANTIATE_TEST_SUITE_P(
    E1000e, E1000eBadSegments,
    testing::Values(BadSegments{"OtherEtherType", [](Frame& f, Offload&) { fake::Put16(f, 12, 0x88b5); }},
                    BadSegments{"OtherIpVersion", [](Frame& f, Offload&) { f[14] ^= std::byte{0x30}; }},
                    BadSegments{"NotTcp",
                                [](Frame& f, Offload&) {
                                  f[f[12] == std::byte{8} ? 14 + 9 : 14 + 6] = std::byte{17};
                                }},
                    BadSegments{"WrongKind",
                                [](Frame&, Offload& o) {
                                  o.segmentation = o.segmentation == Segmentation::kTcp4
                                                       ? Segmentation::kTcp6
                                                       : Segmentation::kTcp4;
                                }},
                    BadSegments{"WrongStart", [](Frame&, Offload& o) { o.checksum_start += 4; }},
                    BadSegments{"WrongField", [](Frame&, Offload& o) { o.checksum_offset = 6; }},
                    BadSegments{"NoChecksum", [](Frame&, Offload& o) { o.needs_checksum = false; }},
                    BadSegments{"TcpHeaderTooShort",
                                [](Frame& f, Offload& o) { f[o.checksum_start + 12] = std::byte{0x40}; }},
                    BadSegments{"OnlyHeader",
                                [](Frame& f, Offload& o) {
                                  f.resize(o.checksum_start + 40u);
                                  f[o.checksum_start + 12] = std::byte{0xa0};
                                }},
                    BadSegments{"CutOff", [](Frame& f, Offload&) { f.resize(40); }},
                    BadSegments{"NoSegmentSize", [](Frame&, Offload& o) { o.segment_bytes = 0; }},
                    BadSegments{"TinySegments", [](Frame&, Offload& o) { o.segment_bytes = 16; }},
                    BadSegments{"BeyondTheMtu", [](Frame&, Offload& o) { o.segment_bytes = 1461; }}),
    [](const auto& info) { return info.param.name; });

TEST(E1000eOffload, RefusesAFragment) {
  Frame frame = fake::TcpFrame(kAddress, {.payload = 5000});
  const Offload offload = fake::MakePartial(frame, 1400);
  fake::Put16(frame, 14 + 6, 0x2000);
  const Part part{frame.data(), static_cast<uint32_t>(frame.size())};
  TransmitPlan plan;
  EXPECT_FALSE(PlanTransmit({{&part, 1}, part.length, offload}, 1500, std::span(frame).first(256), plan));
}

TEST(E1000eOffload, RefusesAChecksumThatTheDescriptorCannotName) {
  const Frame frame(1000);
  const Part part{frame.data(), 1000};
  TransmitPlan plan;
  Offload offload{.needs_checksum = true, .checksum_start = 240, .checksum_offset = 15};
  EXPECT_TRUE(PlanTransmit({{&part, 1}, 1000, offload}, 1500, {}, plan));
  offload.checksum_offset = 16;
  EXPECT_FALSE(PlanTransmit({{&part, 1}, 1000, offload}, 1500, {}, plan));
}

}  // namespace
}  // namespace librettos
