#include "drivers/net/virtio.h"

#include <gtest/gtest.h>

#include "drivers/net/testing/hostile_device.h"
#include "drivers/net/testing/nic_conformance.h"
#include "drivers/net/testing/virtio_model.h"

namespace librettos {
namespace {

using fake::Frame;
using fake::NicBench;
using fake::NicBenchKind;
using fake::NicConformance;
using fake::VirtioModel;

constexpr uint64_t kAll = VirtioModel::kAllFeatures;
constexpr uint64_t kEventIndex = 1ull << 29, kMerge = 1ull << 15, kChecksum = 1, kGuestChecksum = 2;

INSTANTIATE_TEST_SUITE_P(
    Virtio, NicConformance,
    testing::Values(
        NicBenchKind{"All",
                     []() -> std::unique_ptr<NicBench> { return std::make_unique<VirtioModel>(kAll, 4); }},
        NicBenchKind{"TwoVectors",
                     []() -> std::unique_ptr<NicBench> { return std::make_unique<VirtioModel>(kAll, 2); }},
        NicBenchKind{"OneVector",
                     []() -> std::unique_ptr<NicBench> { return std::make_unique<VirtioModel>(kAll, 1); }},
        NicBenchKind{"NoEventIndex",
                     []() -> std::unique_ptr<NicBench> {
                       return std::make_unique<VirtioModel>(kAll & ~kEventIndex, 3);
                     }},
        NicBenchKind{"NoOffloads",
                     []() -> std::unique_ptr<NicBench> {
                       return std::make_unique<VirtioModel>(kAll & ~kChecksum & ~kGuestChecksum, 3);
                     }},
        NicBenchKind{
            "SmallQueues",
            []() -> std::unique_ptr<NicBench> { return std::make_unique<VirtioModel>(kAll, 3, 64); }},
        NicBenchKind{
            "LargeQueues",
            []() -> std::unique_ptr<NicBench> { return std::make_unique<VirtioModel>(kAll, 3, 1024); }}),
    fake::NameOfKind);

constexpr MacAddress kAddress = {2, 0, 0, 0, 0, 7};

class VirtioTest : public testing::Test {
 protected:
  void Open(uint64_t features = kAll, const MacAddress& address = kAddress) {
    model_ = std::make_unique<VirtioModel>(features, 3);
    Result<Nic*> nic = model_->Open(address, 1500);
    ASSERT_TRUE(nic.ok()) << ToString(nic.error());
    nic_.reset(*nic);
  }
  size_t Receive() {
    frame_.buffer = buffer_;
    return nic_->Receive({&frame_, 1});
  }
  bool Transmit() {
    const Frame frame = fake::PlainFrame(kAddress, 100, 1);
    const Part part{frame.data(), 100};
    const OutFrame out{{&part, 1}, 100, {}};
    return nic_->Transmit({&out, 1}) == 1;
  }
  // The device broke the rules: nothing is believed of it any more.
  void ExpectGone() {
    model_->SetBad(VirtioModel::Bad::kNone);
    model_->Deliver(fake::PlainFrame(kAddress, 100, 1));
    EXPECT_EQ(Receive(), 0u);
    const uint64_t errors = nic_->counters().tx_errors;
    EXPECT_TRUE(Transmit());
    EXPECT_EQ(nic_->counters().tx_errors, errors + 1);
    nic_.reset();
    EXPECT_TRUE(model_->Quiet());
  }

  std::unique_ptr<VirtioModel> model_;
  std::unique_ptr<Nic> nic_;
  std::vector<std::byte> buffer_ = std::vector<std::byte>(kMaxFrameBytes + 1);
  InFrame frame_;
};

TEST_F(VirtioTest, AcceptsWhatItKnowsOnly) {
  Open();
  EXPECT_EQ(model_->accepted(), kAll & ~(1ull << 22));
}

TEST_F(VirtioTest, AcceptsNoFeatureWithoutItsFoundation) {
  Open(kAll & ~kChecksum & ~kGuestChecksum);
  EXPECT_EQ(model_->Complaints(), "");
  EXPECT_FALSE(nic_->features().segmentation);
  EXPECT_FALSE(nic_->features().checksum);
  EXPECT_FALSE(nic_->features().large_receive);
}

TEST_F(VirtioTest, UsesTheDevicesAddressIfNoneIsGiven) {
  Open(kAll, {});
  EXPECT_EQ(nic_->address(), VirtioModel::kOwnAddress);
}

TEST_F(VirtioTest, ReceivesWholeLargeFrames) {
  Open();
  for (bool ip6 : {false, true}) {
    Frame frame = fake::TcpFrame(kAddress, {.ip6 = ip6, .payload = 60000});
    const Offload offload = fake::MakePartial(frame, 1400);
    model_->DeliverWhole(frame, offload);
    ASSERT_EQ(Receive(), 1u);
    EXPECT_EQ(frame_.offload, offload);
    EXPECT_TRUE(std::equal(frame.begin(), frame.end(), buffer_.begin()));
    EXPECT_EQ(frame_.length, frame.size());
  }
}

TEST_F(VirtioTest, PassesOnThatAChecksumIsValid) {
  Open();
  model_->DeliverWhole(fake::PlainFrame(kAddress, 100, 1), {.checksum_valid = true});
  ASSERT_EQ(Receive(), 1u);
  EXPECT_TRUE(frame_.offload.checksum_valid);
}

TEST_F(VirtioTest, WithoutMergedBuffersFramesOfTheMtuStillFit) {
  Open(kAll & ~kMerge);
  EXPECT_FALSE(nic_->features().large_receive);
  model_->Deliver(fake::PlainFrame(kAddress, 1514, 1));
  EXPECT_EQ(Receive(), 1u);
  EXPECT_EQ(model_->Complaints(), "");
}

TEST(VirtioOpen, RefusesJumboFramesWithoutMergedBuffers) {
  VirtioModel model(kAll & ~kMerge, 3);
  EXPECT_EQ(model.Open(kAddress, 9000).error(), Error::kUnsupported);
  EXPECT_TRUE(model.Quiet());
}

TEST(VirtioOpen, RefusesALegacyDevice) {
  VirtioModel model(kAll & ~(1ull << 32), 3);
  EXPECT_EQ(model.Open(kAddress, 1500).error(), Error::kUnsupported);
  EXPECT_TRUE(model.Quiet());
}

TEST(VirtioOpen, RefusesWhenTheDeviceRefuses) {
  VirtioModel model(kAll, 3);
  model.SetFeaturesRefused();
  EXPECT_EQ(model.Open(kAddress, 1500).error(), Error::kUnsupported);
  EXPECT_TRUE(model.Quiet());
}

TEST(VirtioOpen, RefusesADeviceThatDoesNotReset) {
  VirtioModel model(kAll, 3);
  std::unique_ptr<Nic>(*model.Open(kAddress, 1500)).reset();
  model.SetNeedsReset();
  model.SetBad(VirtioModel::Bad::kNoReset);
  EXPECT_EQ(model.Open(kAddress, 1500).error(), Error::kIo);
}

TEST(VirtioOpen, RefusesQueuesThatAreNone) {
  for (uint16_t size : {0, 1, 3, 100}) {
    VirtioModel model(kAll, 3, size);
    EXPECT_EQ(model.Open(kAddress, 1500).error(), Error::kIo) << size;
    EXPECT_EQ(model.pci().dma_blocks(), 0u);
  }
}

TEST(VirtioOpen, RefusesWithoutMemoryOrInterrupts) {
  VirtioModel model(kAll, 3);
  for (size_t blocks = 0; blocks < 4; ++blocks) {
    model.pci().LimitDma(blocks);
    EXPECT_EQ(model.Open(kAddress, 1500).error(), Error::kExhausted);
    EXPECT_EQ(model.pci().dma_blocks(), 0u);
  }
  model.pci().SetInterrupts(true, 0);
  EXPECT_EQ(model.Open(kAddress, 1500).error(), Error::kUnsupported);
}

TEST(VirtioOpen, RefusesCapabilitiesThatLieBeyondTheirBar) {
  for (uint32_t field : {8u, 12u}) {  // Offset, length.
    VirtioModel model(kAll, 3);
    for (uint32_t at = 0x40; at < 0x100; at += 4) {
      if (model.pci().config()[at] == 0x09) model.pci().WriteConfig(at + field, 4, 0xfffff000);
      if (model.pci().config()[at] == 0x09) at += 12;
    }
    EXPECT_EQ(model.Open(kAddress, 1500).error(), Error::kIo) << field;
  }
}

// ---- A hostile device

TEST_F(VirtioTest, GivesUpADeviceThatReturnsWhatItWasNotGiven) {
  Open();
  model_->SetBad(VirtioModel::Bad::kUsedId);
  model_->Deliver(fake::PlainFrame(kAddress, 100, 1));
  EXPECT_EQ(Receive(), 0u);
  ExpectGone();
}

TEST_F(VirtioTest, GivesUpADeviceThatReturnsAFrameTwice) {
  Open();
  model_->SetBad(VirtioModel::Bad::kUsedTwice);
  EXPECT_TRUE(Transmit());
  EXPECT_TRUE(Transmit());
  EXPECT_TRUE(Transmit());
  ExpectGone();
}

TEST_F(VirtioTest, GivesUpADeviceThatReturnsMoreThanThereIs) {
  Open();
  model_->SetBad(VirtioModel::Bad::kUsedIndex);
  model_->Deliver(fake::PlainFrame(kAddress, 100, 1));
  EXPECT_EQ(Receive(), 0u);
  ExpectGone();
}

TEST_F(VirtioTest, GivesUpADeviceThatNeedsAReset) {
  Open();
  model_->SetNeedsReset();
  model_->SetLink(true);  // Announced as a change of the configuration.
  model_->Wait();
  ExpectGone();
}

TEST_F(VirtioTest, OutlastsScribbling) {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    Open(seed % 2 ? kAll : kAll & ~kEventIndex);
    model_->SetHold(true);
    fake::Scribble(model_->pci(), *nic_, seed, 200);
    nic_.reset();
    EXPECT_TRUE(model_->Quiet());
  }
}

TEST_F(VirtioTest, DropsLengthsBeyondTheBuffer) {
  Open();
  model_->SetBad(VirtioModel::Bad::kLength);
  model_->Deliver(fake::PlainFrame(kAddress, 100, 1));
  EXPECT_EQ(Receive(), 0u);
  EXPECT_EQ(nic_->counters().rx_errors, 1u);
}

TEST_F(VirtioTest, DropsAFrameOfNoBuffers) {
  Open();
  model_->SetBad(VirtioModel::Bad::kBuffers);
  model_->Deliver(fake::PlainFrame(kAddress, 100, 1));
  EXPECT_EQ(Receive(), 0u);
  EXPECT_EQ(nic_->counters().rx_errors, 1u);
  model_->SetBad(VirtioModel::Bad::kNone);
  model_->Deliver(fake::PlainFrame(kAddress, 100, 1));
  EXPECT_EQ(Receive(), 1u);
}

TEST_F(VirtioTest, DropsOffsetsBeyondTheFrame) {
  Open();
  model_->SetBad(VirtioModel::Bad::kChecksumStart);
  model_->Deliver(fake::PlainFrame(kAddress, 100, 1));
  EXPECT_EQ(Receive(), 0u);
  EXPECT_EQ(nic_->counters().rx_errors, 1u);
}

}  // namespace
}  // namespace librettos
