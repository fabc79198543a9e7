// How a NIC's driver calls, waits and ends; see nic_conformance.h.
#include <thread>

#include "drivers/net/testing/nic_conformance.h"

namespace librettos::fake {
namespace {

// ---- Interrupts

TEST_P(NicConformance, CallsTheHandlerForAFrame) {
  ASSERT_NO_FATAL_FAILURE(Open());
  CountingHandler handler;
  nic_->SetHandler(&handler);
  Settle();
  EXPECT_EQ(handler.calls, 0);
  bench_->Deliver(PlainFrame(kAddress, 100, 1));
  EXPECT_TRUE(bench_->Wait());
  EXPECT_EQ(handler.calls, 1);
  nic_->SetHandler(nullptr);
}

TEST_P(NicConformance, CallsTheHandlerForAFrameThatCameBefore) {
  ASSERT_NO_FATAL_FAILURE(Open());
  bench_->Deliver(PlainFrame(kAddress, 100, 1));
  CountingHandler handler;
  nic_->SetHandler(&handler);
  EXPECT_TRUE(bench_->Wait());
  EXPECT_EQ(handler.calls, 1);
  nic_->SetHandler(nullptr);
}

TEST_P(NicConformance, CallsAgainWhileSomethingIsLeft) {
  ASSERT_NO_FATAL_FAILURE(Open());
  CountingHandler handler;
  nic_->SetHandler(&handler);
  for (uint8_t i = 0; i < 3; ++i) bench_->Deliver(PlainFrame(kAddress, 100, i));
  bench_->Sync();
  for (int calls = 1; calls <= 3; ++calls) {
    bench_->Wait();
    ASSERT_EQ(handler.calls, calls);
    InFrame frame{.buffer = std::span(buffer_).first(2000), .offload = {}};
    ASSERT_EQ(nic_->Receive({&frame, 1}), 1u);
  }
  Settle();
  EXPECT_EQ(handler.calls, 3);
  // And it still rings for the next.
  bench_->Deliver(PlainFrame(kAddress, 100, 9));
  Settle(1);
  EXPECT_EQ(handler.calls, 4);
  nic_->SetHandler(nullptr);
}

TEST_P(NicConformance, SleepsOnceAllIsTaken) {
  ASSERT_NO_FATAL_FAILURE(Open());
  CountingHandler handler;
  nic_->SetHandler(&handler);
  bench_->Deliver(PlainFrame(kAddress, 100, 1));
  bench_->Wait();
  EXPECT_EQ(Received(1).size(), 1u);
  Settle();
  EXPECT_FALSE(bench_->Wait());
  EXPECT_EQ(handler.calls, 1);
  nic_->SetHandler(nullptr);
}

TEST_P(NicConformance, WithoutHandlerThereAreNoInterrupts) {
  ASSERT_NO_FATAL_FAILURE(Open());
  WarmUp();
  CountingHandler handler;
  nic_->SetHandler(&handler);
  nic_->SetHandler(nullptr);
  Settle();
  const uint64_t before = bench_->interrupts();
  for (uint8_t i = 0; i < 100; ++i) {
    bench_->Deliver(PlainFrame(kAddress, 100, i));
    Transmit(PlainFrame(kPeer, 100, i));
    ReceiveAll();
  }
  bench_->Sync();
  EXPECT_EQ(bench_->interrupts(), before);
  Settle();
  EXPECT_EQ(handler.calls, 0);
}

TEST_P(NicConformance, PolledFramesCauseNoInterruptLater) {
  ASSERT_NO_FATAL_FAILURE(Open());
  WarmUp();
  for (uint8_t i = 0; i < 10; ++i) {
    bench_->Deliver(PlainFrame(kAddress, 100, i));
    Transmit(PlainFrame(kPeer, 100, i));
  }
  EXPECT_EQ(Received(10).size(), 10u);
  const uint64_t before = bench_->interrupts();
  CountingHandler handler;
  nic_->SetHandler(&handler);
  EXPECT_FALSE(bench_->Wait());
  EXPECT_EQ(bench_->interrupts(), before);
  nic_->SetHandler(nullptr);
}

TEST_P(NicConformance, WhileAtWorkThereAreNoInterrupts) {
  ASSERT_NO_FATAL_FAILURE(Open());
  CountingHandler handler;
  nic_->SetHandler(&handler);
  bench_->Deliver(PlainFrame(kAddress, 100, 0));
  bench_->Wait();
  ASSERT_EQ(handler.calls, 1);
  const uint64_t before = bench_->interrupts();
  for (uint8_t i = 0; i < 100; ++i) {
    bench_->Deliver(PlainFrame(kAddress, 100, i));
    bench_->Wait();
  }
  EXPECT_EQ(handler.calls, 101);
  EXPECT_EQ(bench_->interrupts(), before);
  EXPECT_EQ(Received(101).size(), 101u);
  nic_->SetHandler(nullptr);
}

// ---- A full device

TEST_P(NicConformance, SaysFullAndCallsWhenThereIsRoom) {
  if (!bench_->can_hold()) GTEST_SKIP() << "the device cannot be held";
  ASSERT_NO_FATAL_FAILURE(Open());
  bench_->SetHold(true);
  const Frame frame = PlainFrame(kPeer, 1000, 1);
  uint32_t taken = 0;
  while (taken < 10000 && Transmit(frame)) ++taken;
  ASSERT_LT(taken, 10000u);
  ASSERT_GT(taken, 16u);
  CountingHandler handler;
  nic_->SetHandler(&handler);
  Settle();
  EXPECT_EQ(handler.calls, 0);
  bench_->SetHold(false);
  Settle(1);
  EXPECT_EQ(handler.calls, 1);
  EXPECT_TRUE(Transmit(frame));
  EXPECT_EQ(Sent(taken + 1).size(), taken + 1);
  Settle();
  EXPECT_EQ(handler.calls, 1);
  nic_->SetHandler(nullptr);
}

TEST_P(NicConformance, SaysFullWithTheHandlerSetAndCallsWhenThereIsRoom) {
  if (!bench_->can_hold()) GTEST_SKIP() << "the device cannot be held";
  ASSERT_NO_FATAL_FAILURE(Open());
  CountingHandler handler;
  nic_->SetHandler(&handler);
  bench_->SetHold(true);
  const Frame frame = PlainFrame(kPeer, 1514, 1);
  uint32_t taken = 0;
  while (taken < 10000 && Transmit(frame)) ++taken;
  ASSERT_LT(taken, 10000u);
  Settle();
  EXPECT_EQ(handler.calls, 0);
  bench_->SetHold(false);
  Settle(1);
  EXPECT_EQ(handler.calls, 1);
  nic_->SetHandler(nullptr);
}

TEST_P(NicConformance, CallsForRoomAfterFewLargeFrames) {
  if (!bench_->can_hold()) GTEST_SKIP() << "the device cannot be held";
  ASSERT_NO_FATAL_FAILURE(Open());
  if (!nic_->features().segmentation) GTEST_SKIP() << "not with this device";
  bench_->SetHold(true);
  Frame frame = TcpFrame(kPeer, {.payload = 60000});
  const Offload offload = MakePartial(frame, 1400);
  uint32_t taken = 0;
  while (taken < 10000 && Transmit(frame, offload)) ++taken;
  ASSERT_LT(taken, 10000u);
  ASSERT_GT(taken, 1u);
  CountingHandler handler;
  nic_->SetHandler(&handler);
  Settle();
  EXPECT_EQ(handler.calls, 0);
  bench_->SetHold(false);
  Settle(1);
  EXPECT_EQ(handler.calls, 1);
  nic_->SetHandler(nullptr);
}

TEST_P(NicConformance, APolledFullDeviceHasRoomAgain) {
  if (!bench_->can_hold()) GTEST_SKIP() << "the device cannot be held";
  ASSERT_NO_FATAL_FAILURE(Open());
  bench_->SetHold(true);
  const Frame frame = PlainFrame(kPeer, 100, 1);
  for (int i = 0; i < 10000 && Transmit(frame); ++i) continue;
  EXPECT_FALSE(Transmit(frame));
  bench_->SetHold(false);
  EXPECT_TRUE(Transmit(frame));
}

TEST_P(NicConformance, TakesPartOfABatchWhenFull) {
  if (!bench_->can_hold()) GTEST_SKIP() << "the device cannot be held";
  ASSERT_NO_FATAL_FAILURE(Open());
  bench_->SetHold(true);
  const Frame frame = PlainFrame(kPeer, 100, 1);
  const Part part{frame.data(), 100};
  const std::vector<OutFrame> batch(1000, OutFrame{{&part, 1}, 100, {}});
  const size_t taken = nic_->Transmit(batch);
  EXPECT_GT(taken, 0u);
  EXPECT_LT(taken, batch.size());
  EXPECT_EQ(nic_->counters().tx_frames, taken);
  bench_->SetHold(false);
  EXPECT_EQ(Sent(taken).size(), taken);
}

TEST_P(NicConformance, SendIsRefusedLikeTransmitAndCallsNobody) {
  if (!bench_->can_hold()) GTEST_SKIP() << "the device cannot be held";
  ASSERT_NO_FATAL_FAILURE(Open());
  bench_->SetHold(true);
  const Frame frame = PlainFrame(kPeer, 100, 1);
  const Part part{frame.data(), 100};
  const std::vector<OutFrame> batch(1000, OutFrame{{&part, 1}, 100, {}});
  const size_t taken = nic_->Send(batch);
  EXPECT_GT(taken, 0u);
  EXPECT_LT(taken, batch.size());
  CountingHandler handler;
  nic_->SetHandler(&handler);
  bench_->SetHold(false);
  EXPECT_EQ(Sent(taken).size(), taken);
  Settle();
  EXPECT_EQ(handler.calls, 0);
  nic_->SetHandler(nullptr);
}

// The threads of two CPUs: one sends, the loop's sends and receives.
TEST_P(NicConformance, SendsFromAnotherCpuMeanwhile) {
  constexpr uint32_t kFrames = 200;
  ASSERT_NO_FATAL_FAILURE(Open());
  const auto send_all = [&](uint8_t seed, bool beside) {
    const Frame frame = PlainFrame(kPeer, 100, seed);
    const Part part{frame.data(), 100};
    const OutFrame out{{&part, 1}, 100, {}};
    for (uint32_t i = 0; i < kFrames;) i += beside ? nic_->Send({&out, 1}) : nic_->Transmit({&out, 1});
  };
  std::thread other([&] { send_all(1, true); });
  send_all(2, false);
  for (int i = 0; i < 50; ++i) (void)ReceiveAll();
  other.join();
  EXPECT_EQ(nic_->counters().tx_frames, 2 * kFrames);
  EXPECT_EQ(nic_->counters().tx_errors, 0u);
  EXPECT_EQ(Sent(2 * kFrames).size(), 2 * kFrames);
}

// ---- The link

TEST_P(NicConformance, WaitsWhileTheLinkIsDown) {
  ASSERT_NO_FATAL_FAILURE(Open());
  CountingHandler handler;
  nic_->SetHandler(&handler);
  bench_->SetLink(false);
  Settle();
  const Frame frame = PlainFrame(kPeer, 100, 1);
  EXPECT_FALSE(Transmit(frame));
  Settle();
  EXPECT_EQ(handler.calls, 0);
  bench_->SetLink(true);
  Settle(2);
  EXPECT_GE(handler.calls, 1);
  EXPECT_TRUE(Transmit(frame));
  EXPECT_EQ(Sent(1).size(), 1u);
  EXPECT_EQ(nic_->counters().tx_errors, 0u);
  nic_->SetHandler(nullptr);
}

TEST_P(NicConformance, NoticesTheLinkWithoutHandler) {
  ASSERT_NO_FATAL_FAILURE(Open());
  bench_->SetLink(false);
  Settle();
  const Frame frame = PlainFrame(kPeer, 100, 1);
  EXPECT_FALSE(Transmit(frame));
  bench_->SetLink(true);
  Settle();
  EXPECT_TRUE(Transmit(frame));
}

// ---- Addresses

MacAddress Group(uint8_t number) { return {0x33, 0x33, 0xff, 0x12, number, 0x34}; }

TEST_P(NicConformance, ReceivesBroadcastsAndOnlyIfPromiscuousOthers) {
  ASSERT_NO_FATAL_FAILURE(Open());
  const MacAddress all = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  for (const MacAddress& to : {kAddress, all}) bench_->Deliver(PlainFrame(to, 100, 1));
  EXPECT_EQ(Received(2).size(), 2u);
  if (bench_->filters()) {
    for (const MacAddress& to : {kPeer, Group(0)}) bench_->Deliver(PlainFrame(to, 100, 1));
    EXPECT_EQ(Received(0).size(), 0u);
  }
  nic_->SetPromiscuous(true);
  for (const MacAddress& to : {kPeer, Group(0)}) bench_->Deliver(PlainFrame(to, 100, 1));
  EXPECT_EQ(Received(2).size(), 2u);
  nic_->SetPromiscuous(false);
  bench_->Deliver(PlainFrame(kAddress, 100, 1));
  EXPECT_EQ(Received(1).size(), 1u);
}

TEST_P(NicConformance, ReceivesTheGroupsThatWereSet) {
  ASSERT_NO_FATAL_FAILURE(Open());
  for (size_t count : {1u, 15u, 16u, 100u, 2u}) {
    std::vector<MacAddress> groups;
    for (uint8_t i = 0; i < count; ++i) groups.push_back(Group(i));
    nic_->SetGroups(groups);
    for (const MacAddress& group : groups) bench_->Deliver(PlainFrame(group, 100, 1));
    EXPECT_EQ(Received(count).size(), count);
    // What goes beyond the exact filters may let others pass.
    if (!bench_->filters() || count > 15) continue;
    bench_->Deliver(PlainFrame(Group(static_cast<uint8_t>(count)), 100, 1));
    EXPECT_EQ(Received(0).size(), 0u) << count;
  }
  nic_->SetGroups({});
  bench_->Deliver(PlainFrame(kAddress, 100, 1));
  EXPECT_EQ(Received(1).size(), 1u);
}

// ---- The opening

TEST_P(NicConformance, OpensInSeveralSteps) {
  std::unique_ptr<NicOpening> opening(*bench_->Begin(kAddress, 1500));
  int steps = 0;
  for (; !nic_; ++steps) {
    const Result<Nic*> nic = opening->Step();
    ASSERT_TRUE(nic.ok()) << ToString(nic.error());
    nic_.reset(nic.value());
  }
  EXPECT_GE(steps, 5);
  opening.reset();
  bench_->Deliver(PlainFrame(kAddress, 100, 1));
  EXPECT_EQ(Received(1).size(), 1u);
}

TEST_P(NicConformance, AnOpeningThatIsCancelledLeavesTheDeviceQuiet) {
  // A real device may be waited for in many steps: not each of them is tried.
  for (int steps = 0;; steps += 1 + steps / 10) {
    std::unique_ptr<NicOpening> opening(*bench_->Begin(kAddress, 1500));
    for (int i = 0; i < steps && !nic_; ++i) {
      const Result<Nic*> nic = opening->Step();
      ASSERT_TRUE(nic.ok()) << ToString(nic.error());
      nic_.reset(nic.value());
    }
    opening.reset();
    if (nic_) break;
    // Before the first steps nothing was changed.
    if (steps >= 3) {
      EXPECT_TRUE(bench_->Quiet()) << steps;
    }
    ASSERT_LT(steps, 1'000'000);
  }
  nic_.reset();
  ASSERT_NO_FATAL_FAILURE(Open());
  bench_->Deliver(PlainFrame(kAddress, 100, 1));
  EXPECT_EQ(Received(1).size(), 1u);
}

// ---- The end

TEST_P(NicConformance, LeavesTheDeviceQuietAndOpensItAgain) {
  for (int i = 0; i < 3; ++i) {
    ASSERT_NO_FATAL_FAILURE(Open());
    EXPECT_FALSE(bench_->Quiet());
    bench_->Deliver(PlainFrame(kAddress, 100, 1));
    EXPECT_EQ(Received(1).size(), 1u);
    EXPECT_TRUE(Transmit(PlainFrame(kPeer, 100, 1)));
    EXPECT_EQ(Sent(1).size(), 1u);
    nic_.reset();
    EXPECT_TRUE(bench_->Quiet());
  }
}

TEST_P(NicConformance, ClosesInSeveralSteps) {
  ASSERT_NO_FATAL_FAILURE(Open());
  EXPECT_TRUE(Transmit(PlainFrame(kPeer, 100, 1)));
  int steps = 1;
  for (; !nic_->CloseStep(); ++steps) ASSERT_LT(steps, 100'000'000);
  EXPECT_GE(steps, 5);
  EXPECT_TRUE(nic_->CloseStep()) << "it is closed";
  EXPECT_EQ(Sent(1).size(), 1u) << "what was taken is sent first";
  nic_.reset();
  EXPECT_TRUE(bench_->Quiet());
  ASSERT_NO_FATAL_FAILURE(Open());
  bench_->Deliver(PlainFrame(kAddress, 100, 1));
  EXPECT_EQ(Received(1).size(), 1u);
}

TEST_P(NicConformance, AClosingThatIsCutShortLeavesTheDeviceQuiet) {
  for (int steps = 0, closed = false; !closed; steps += 1 + steps / 10) {
    ASSERT_NO_FATAL_FAILURE(Open());
    for (int i = 0; i < steps && !closed; ++i) closed = nic_->CloseStep();
    nic_.reset();
    EXPECT_TRUE(bench_->Quiet()) << steps;
    ASSERT_LT(steps, 100'000'000);
  }
}

TEST_P(NicConformance, StopsWhileBusy) {
  ASSERT_NO_FATAL_FAILURE(Open());
  CountingHandler handler;
  nic_->SetHandler(&handler);
  bench_->SetHold(true);
  for (int i = 0; i < 20; ++i) Transmit(PlainFrame(kPeer, 1000, 1));
  for (uint8_t i = 0; i < 50; ++i) bench_->Deliver(PlainFrame(kAddress, 100, i));
  nic_.reset();
  EXPECT_TRUE(bench_->Quiet());
  Settle();
  EXPECT_EQ(handler.calls, 0);
}

TEST_P(NicConformance, AWithdrawnDeviceSwallowsWhatIsSent) {
  if (!bench_->can_withdraw()) GTEST_SKIP() << "the device cannot be withdrawn";
  ASSERT_NO_FATAL_FAILURE(Open());
  bench_->Withdraw();
  const Frame frame = PlainFrame(kPeer, 1000, 1);
  // Full at first: it may only be slow.
  for (uint32_t i = 0; i < 10'000'000 && nic_->counters().tx_errors == 0; ++i) Transmit(frame);
  EXPECT_GT(nic_->counters().tx_errors, 0u);
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(Transmit(frame));
  EXPECT_EQ(Received(0).size(), 0u);
  CountingHandler handler;
  nic_->SetHandler(&handler);
  Settle();
  EXPECT_FALSE(bench_->Wait());
  nic_->SetHandler(nullptr);
}

TEST_P(NicConformance, IsNotOpenedWithdrawn) {
  if (!bench_->can_withdraw()) GTEST_SKIP() << "the device cannot be withdrawn";
  bench_->Withdraw();
  EXPECT_FALSE(bench_->Open(kAddress, 1500).ok());
}

TEST_P(NicConformance, IsNotOpenedIfItVanishesHalfway) {
  if (!bench_->can_withdraw()) GTEST_SKIP() << "the device cannot be withdrawn";
  for (int steps = 1;; ++steps) {
    bench_ = GetParam().make();
    std::unique_ptr<NicOpening> opening(*bench_->Begin(kAddress, 1500));
    for (int i = 0; i < steps; ++i) {
      const Result<Nic*> nic = opening->Step();
      ASSERT_TRUE(nic.ok()) << ToString(nic.error());
      nic_.reset(nic.value());
      if (nic_) return;
    }
    bench_->Withdraw();
    EXPECT_FALSE(Finish(opening.release()).ok()) << steps;
    EXPECT_EQ(bench_->Complaints(), "");
  }
}

TEST_P(NicConformance, IsNotOpenedWithAnMtuBeyondIt) { EXPECT_FALSE(bench_->Open(kAddress, 9001).ok()); }

}  // namespace
}  // namespace librettos::fake
