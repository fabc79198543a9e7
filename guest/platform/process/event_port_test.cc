#include "guest/platform/process/event_port.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include "guest/platform/process/test_daemon.h"
#include "guest/platform/process/test_observers.h"

namespace librettos::process {
namespace {

class EventPortTest : public ::testing::Test {
 protected:
  Result<EventPort*> Bind(int to_signal, int to_wait, Error error = Error::kOk) {
    bound_.results.clear();
    binder_.platform().Bind(7, 1, &bound_);
    const auto requests = Only(binder_.Messages(), WireType::kBind);
    EXPECT_EQ(requests.size(), 1u);
    binder_.daemon->Send({.type = WireType::kBindReply,
                          .id = requests[0].header.id,
                          .a = static_cast<uint32_t>(error),
                          .descriptors = {to_signal, to_wait}});
    binder_.Turn();
    EXPECT_EQ(bound_.results.size(), 1u);
    return bound_.results.empty() ? Result<EventPort*>(Error::kTimeout) : bound_.results[0];
  }

  // Binds what the owner offers.
  void SetUp() override {
    offered_ = *owner_.platform().Offer(9);
    const auto offers = Only(owner_.Messages(), WireType::kOffer);
    ASSERT_EQ(offers.size(), 1u);
    EXPECT_EQ(offers[0].header.number, offered_->number());
    EXPECT_EQ(offers[0].header.a, 9u);
    Result<EventPort*> port = Bind(offers[0].descriptors[0].get(), offers[0].descriptors[1].get());
    ASSERT_TRUE(port.ok());
    taken_ = *port;
  }

  Domain owner_{7};
  Domain binder_{9};
  Bound bound_;
  EventPort* offered_ = nullptr;
  EventPort* taken_ = nullptr;
};

TEST_F(EventPortTest, SignalsGoBothWaysAndCoalesce) {
  Count at_owner, at_binder;
  offered_->SetHandler(&at_owner);
  taken_->SetHandler(&at_binder);
  taken_->Signal();
  taken_->Signal();
  owner_.Turn();
  binder_.Turn();
  EXPECT_EQ(at_owner.calls, 1);
  EXPECT_EQ(at_binder.calls, 0);
  offered_->Signal();
  owner_.Turn();
  binder_.Turn();
  EXPECT_EQ(at_owner.calls, 1);
  EXPECT_EQ(at_binder.calls, 1);
}

TEST_F(EventPortTest, SignalWithoutHandlerIsKept) {
  taken_->Signal();
  owner_.Turn();
  Count count;
  offered_->SetHandler(&count);
  owner_.Turn();
  EXPECT_EQ(count.calls, 1);
  offered_->SetHandler(nullptr);
  taken_->Signal();
  owner_.Turn();
  EXPECT_EQ(count.calls, 1);
}

TEST_F(EventPortTest, HandlerMayCloseThePort) {
  struct Closes : Handler {
    void OnEvent() override { port->Close(); }
    EventPort* port;
  } closes;
  closes.port = offered_;
  offered_->SetHandler(&closes);
  taken_->Signal();
  owner_.Turn();
  EXPECT_EQ(Only(owner_.Messages(), WireType::kClosePort).size(), 1u);
  taken_->Signal();  // To nobody.
}

TEST_F(EventPortTest, FullCounterDoesNotStopTheSignaller) {
  Domain other(11);
  EventPort* port = *other.platform().Offer(9);
  const auto offers = Only(other.Messages(), WireType::kOffer);
  const uint64_t most = UINT64_MAX - 1;
  ASSERT_EQ(write(offers.at(0).descriptors[1].get(), &most, sizeof(most)), 8);
  port->Signal();
}

TEST_F(EventPortTest, WhatIsNoDoorbellIsNotBoundOrNotLookedAt) {
  EXPECT_EQ(Bind(-1, -1).error(), Error::kProtocol);
  Descriptor blocking(eventfd(0, EFD_CLOEXEC));
  EXPECT_EQ(Bind(blocking.get(), blocking.get()).error(), Error::kProtocol);
  EXPECT_EQ(Bind(-1, -1, Error::kPermission).error(), Error::kPermission);
  // Ready for ever, and never with a signal: looked at once.
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
  Descriptor reading(ends[0]);
  close(ends[1]);
  Result<EventPort*> port = Bind(reading.get(), reading.get());
  ASSERT_TRUE(port.ok());
  Count count;
  (*port)->SetHandler(&count);
  binder_.Turn();
  EXPECT_EQ(count.calls, 0);
  (*port)->Close();
}

TEST_F(EventPortTest, CancelledBindIsNotAnswered) {
  bound_.results.clear();
  binder_.platform().Bind(7, 1, &bound_);
  const auto requests = Only(binder_.Messages(), WireType::kBind);
  binder_.platform().Cancel(&bound_);
  binder_.daemon->Send({.type = WireType::kBindReply, .id = requests.at(0).header.id, .a = 1});
  binder_.Turn();
  EXPECT_TRUE(bound_.results.empty());
}

}  // namespace
}  // namespace librettos::process
