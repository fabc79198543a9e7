#include "hypervisor/event_loop.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <thread>
#include <vector>

namespace librettos {
namespace {

class EventLoopTest : public testing::Test {
 protected:
  void SetUp() override {
    loop_ = *EventLoop::Create();
    a_ = eventfd(1, 0);
    b_ = eventfd(1, 0);
  }
  void TearDown() override {
    close(a_);
    close(b_);
  }
  std::unique_ptr<EventLoop> loop_;
  int a_ = -1, b_ = -1;
};

TEST_F(EventLoopTest, CallsForReadyDescriptorsUntilUnwatched) {
  int calls = 0;
  loop_->Watch(a_, EPOLLIN, [&](uint32_t events) {
    EXPECT_EQ(events, uint32_t{EPOLLIN});
    if (++calls == 3) {
      loop_->Unwatch(a_);
      loop_->Post([&] { loop_->Stop(); });
    }
  });
  loop_->Loop();
  EXPECT_EQ(calls, 3);
}

TEST_F(EventLoopTest, NoCallFollowsAnUnwatchInTheSameBatch) {
  int calls = 0;
  const auto once = [&](int other) {
    return [&, other](uint32_t) {
      ++calls;
      loop_->Unwatch(other);
      loop_->Stop();
    };
  };
  loop_->Watch(a_, EPOLLIN, once(b_));
  loop_->Watch(b_, EPOLLIN, once(a_));
  loop_->Loop();
  EXPECT_EQ(calls, 1);
}

TEST_F(EventLoopTest, AnEventForAnEarlierWatchOfTheNumberIsNotDelivered) {
  bool wrong = false;
  // Whichever is first replaces the other's descriptor by one that is not ready.
  const auto replace = [&](int other) {
    return [&, other](uint32_t) {
      loop_->Unwatch(other);
      const int idle = eventfd(0, 0);
      dup2(idle, other);
      close(idle);
      loop_->Watch(other, EPOLLIN, [&](uint32_t) { wrong = true; });
      loop_->Stop();
    };
  };
  loop_->Watch(a_, EPOLLIN, replace(b_));
  loop_->Watch(b_, EPOLLIN, replace(a_));
  loop_->Loop();
  EXPECT_FALSE(wrong);
}

TEST_F(EventLoopTest, ModifyChangesWhatIsWaitedFor) {
  std::vector<uint32_t> seen;
  loop_->Watch(a_, EPOLLIN, [&](uint32_t events) {
    seen.push_back(events);
    loop_->Modify(a_, EPOLLOUT);
    if (seen.size() == 2) loop_->Stop();
  });
  loop_->Loop();
  EXPECT_EQ(seen, (std::vector<uint32_t>{EPOLLIN, EPOLLOUT}));
}

TEST_F(EventLoopTest, TimersFireInOrderOfTheirTimeAndThenOfBeingSet) {
  std::vector<int> order;
  loop_->After(absl::Milliseconds(5), [&] {
    order.push_back(3);
    loop_->Stop();
  });
  loop_->After(absl::ZeroDuration(), [&] { order.push_back(1); });
  loop_->After(absl::ZeroDuration(), [&] { order.push_back(2); });
  loop_->Loop();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST_F(EventLoopTest, ACancelledTimerDoesNotFire) {
  bool fired = false;
  EventLoop::TimerId second = 0;
  loop_->After(absl::ZeroDuration(), [&] { loop_->Cancel(second); });
  second = loop_->After(absl::ZeroDuration(), [&] { fired = true; });
  loop_->After(absl::Milliseconds(1), [&] { loop_->Stop(); });
  loop_->Loop();
  EXPECT_FALSE(fired);
  loop_->Cancel(second);  // Again, and unknown ones: ignored.
  loop_->Cancel(12345);
}

TEST_F(EventLoopTest, ATimerThatSetsItselfAgainDoesNotHoldTheLoop) {
  bool posted = false;
  std::function<void()> again = [&] {
    loop_->After(absl::ZeroDuration(), again);
    loop_->Post([&] {
      posted = true;
      loop_->Stop();
    });
  };
  again();
  loop_->Loop();
  EXPECT_TRUE(posted);
}

TEST_F(EventLoopTest, RunsPostedClosuresInOrderOnTheLoopThread) {
  std::vector<int> order;
  std::thread::id ran;
  std::thread other([&] {
    for (int i = 0; i < 100; ++i) loop_->Post([&, i] { order.push_back(i); });
    loop_->Run([&] { ran = std::this_thread::get_id(); });
    EXPECT_EQ(order.size(), 100u);  // Run waited for all before it.
    loop_->Stop();
  });
  loop_->Loop();
  other.join();
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  EXPECT_EQ(ran, std::this_thread::get_id());
}

TEST_F(EventLoopTest, CanLoopAgainAfterStop) {
  for (int i = 0; i < 2; ++i) {
    loop_->Post([&] { loop_->Stop(); });
    loop_->Loop();
  }
}

}  // namespace
}  // namespace librettos
