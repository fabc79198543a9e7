#include "guest/platform/process/loop.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "guest/platform/process/test_observers.h"

namespace librettos::process {
namespace {

constexpr Nanoseconds kLong = 3600ull * 1000000000;

class LoopTest : public ::testing::Test {
 protected:
  ProcessLoop loop_;
  Descriptor a_{eventfd(1, EFD_NONBLOCK)};
  Descriptor b_{eventfd(1, EFD_NONBLOCK)};
  Count count_;
};

TEST_F(LoopTest, ReadyDescriptorEndsTheSleepAndIsLevelTriggered) {
  ASSERT_TRUE(loop_.Add(a_.get(), EPOLLIN, &count_).ok());
  loop_.Wait(Now() + kLong);
  loop_.Wait(UINT64_MAX);
  EXPECT_EQ(count_.calls, 2);
}

TEST_F(LoopTest, DeadlineEndsTheSleep) {
  const Nanoseconds deadline = Now() + 1000000;
  while (Now() < deadline) loop_.Wait(deadline);
  EXPECT_GE(Now(), deadline);
}

TEST_F(LoopTest, PollingFindsWhatIsReady) {
  ASSERT_TRUE(loop_.Add(a_.get(), EPOLLIN, &count_).ok());
  while (count_.calls == 0) loop_.Wait(0);
  EXPECT_EQ(count_.calls, 1);
}

TEST_F(LoopTest, RemovedInTheSameRoundIsNotCalled) {
  struct RemovesBoth : Handler {
    void OnEvent() override {
      ++calls;
      loop->Remove(a);
      loop->Remove(b);
    }
    int calls = 0, a, b;
    ProcessLoop* loop;
  } removes;
  removes.loop = &loop_;
  removes.a = a_.get();
  removes.b = b_.get();
  ASSERT_TRUE(loop_.Add(a_.get(), EPOLLIN, &removes).ok());
  ASSERT_TRUE(loop_.Add(b_.get(), EPOLLIN, &removes).ok());
  loop_.Wait(Now() + kLong);
  EXPECT_EQ(removes.calls, 1);
}

TEST_F(LoopTest, StaleEventOfAReusedNumberIsDropped) {
  struct Reuses : Handler {
    void OnEvent() override {
      ++calls;
      // Both were ready; the other's number now stands for something else.
      const int other = a;
      loop->Remove(other);
      ASSERT_TRUE(loop->Add(other, EPOLLIN, next).ok());
    }
    int calls = 0, a;
    ProcessLoop* loop;
    Handler* next;
  } reuses;
  reuses.loop = &loop_;
  reuses.a = b_.get();
  reuses.next = &count_;
  ASSERT_TRUE(loop_.Add(a_.get(), EPOLLIN, &reuses).ok());
  ASSERT_TRUE(loop_.Add(b_.get(), EPOLLIN, &reuses).ok());
  loop_.Wait(Now() + kLong);
  EXPECT_EQ(reuses.calls, 1);
  EXPECT_EQ(count_.calls, 0);
}

TEST_F(LoopTest, DeferredRunsOnceWithoutSleeping) {
  loop_.RunSoon(&count_);
  loop_.RunSoon(&count_);
  loop_.Wait(Now() + kLong);
  EXPECT_EQ(count_.calls, 1);
}

TEST_F(LoopTest, RefusesNonsense) {
  EXPECT_FALSE(loop_.Add(-1, EPOLLIN, &count_).ok());
  EXPECT_FALSE(loop_.Add(a_.get(), EPOLLIN, nullptr).ok());
  EXPECT_FALSE(loop_.Add(1000, EPOLLIN, &count_).ok());
  loop_.Remove(-1);
  loop_.Remove(100000);
}

}  // namespace
}  // namespace librettos::process
