#include "hypervisor/xen/workers.h"

#include <atomic>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"

namespace librettos::xen {
namespace {

// Where there is no Xen no context can be made: what is under test is the order, and that nothing is lost.
absl::StatusOr<std::unique_ptr<LibxlContext>> NoXen() { return absl::UnavailableError("no Xen here"); }
void Never(LibxlContext&) { FAIL(); }

TEST(WorkersTest, JobsWithOneKeyKeepTheirOrder) {
  std::vector<int> order;  // By one key's jobs only, so never at the same time.
  {
    Workers workers(4, NoXen);
    for (int i = 0; i < 1000; ++i) workers.Submit(7, Never, [&, i](absl::Status) { order.push_back(i); });
  }
  ASSERT_EQ(order.size(), 1000u) << "the end finishes all jobs";
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(order[i], i);
}

TEST(WorkersTest, OtherKeysDoNotWait) {
  absl::Notification second_ran;
  Workers workers(2, NoXen);
  workers.Submit(1, Never, [&](absl::Status) { second_ran.WaitForNotification(); });
  workers.Submit(2, Never, [&](absl::Status) { second_ran.Notify(); });
}

TEST(WorkersTest, FailureToUseXenIsTold) {
  absl::Status status;
  {
    Workers workers(1, NoXen);
    workers.Submit(1, Never, [&](absl::Status failed) { status = failed; });
  }
  EXPECT_TRUE(absl::IsUnavailable(status));
}

}  // namespace
}  // namespace librettos::xen
