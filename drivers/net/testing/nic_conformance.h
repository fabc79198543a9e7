// What every driver of a NIC must do, as scenarios over a NicBench. A driver's test instantiates them:
//
//   INSTANTIATE_TEST_SUITE_P(Model, NicConformance, testing::Values(NicBenchKind{"MsiX", MakeIt}),
//   NameOfKind);
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "drivers/net/testing/nic_bench.h"

namespace librettos::fake {

struct NicBenchKind {
  const char* name;
  std::unique_ptr<NicBench> (*make)();
};

inline std::string NameOfKind(const testing::TestParamInfo<NicBenchKind>& info) { return info.param.name; }

class NicConformance : public testing::TestWithParam<NicBenchKind> {
 protected:
  static constexpr MacAddress kAddress = {2, 0, 0, 0, 0, 7};
  static constexpr MacAddress kPeer = {2, 0, 0, 0, 0, 8};

  struct CountingHandler final : Handler {
    void OnEvent() override { ++calls; }
    int calls = 0;
  };

  void SetUp() override;
  void TearDown() override;
  void Open(uint32_t mtu = 1500);
  bool Transmit(const Frame& frame, const Offload& offload = {});
  // A device without the feature drops and counts the frame.
  void ExpectRefused(uint16_t segment_bytes);
  // All that can be received now.
  std::vector<Frame> ReceiveAll();
  // Waits for so many frames from the device, and for whether there are more.
  std::vector<Frame> Received(size_t wanted);
  std::vector<Frame> Sent(size_t wanted);
  std::vector<Frame> SentSegments(const Frame& whole, uint32_t segment_bytes);
  // A frame each way: a device may send an interrupt for its first, whatever it was told.
  void WarmUp();
  // Lets the loop run until no handler is called any more; at most `rounds`.
  void Settle(int rounds = 100);

  std::unique_ptr<NicBench> bench_;
  std::unique_ptr<Nic> nic_;
  std::vector<std::byte> buffer_ = std::vector<std::byte>(8 * (kMaxFrameBytes + 1));
  Offload last_offload_;
};

}  // namespace librettos::fake
