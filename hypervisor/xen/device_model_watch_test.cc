#include "hypervisor/xen/device_model_watch.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace librettos::xen {
namespace {

using hypervisor::DomainId;

// A process with the arguments of domain 12's device model, which reads what nobody writes.
class DeviceModelWatchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    loop_ = *EventLoop::Create();
    int started[2], input[2];
    ASSERT_EQ(pipe2(started, O_CLOEXEC), 0);
    ASSERT_EQ(pipe2(input, O_CLOEXEC), 0);
    pid_ = fork();
    if (pid_ == 0) {
      dup2(input[0], STDIN_FILENO);
      execl("/bin/sh", "sh", "-c", "read line", "-xen-domid", "12", nullptr);
      _exit(1);
    }
    close(started[1]);
    close(input[0]);
    input_ = input[1];
    char none;
    EXPECT_EQ(read(started[0], &none, 1), 0);  // Until the exec.
    close(started[0]);
  }
  void TearDown() override {
    Kill();
    close(input_);
  }
  void Kill() {
    if (ended_) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    ended_ = true;
  }
  // All that there is to be told by now.
  std::vector<DomainId> Told() {
    loop_->After(absl::Milliseconds(20), [this] { loop_->Stop(); });
    loop_->Loop();
    return std::exchange(told_, {});
  }
  using Ids = std::vector<DomainId>;

  pid_t pid_ = 0;
  int input_ = -1;
  bool ended_ = false;
  std::unique_ptr<EventLoop> loop_;
  Ids told_;
};

TEST_F(DeviceModelWatchTest, TellsOnceThatItEnded) {
  DeviceModelWatch watch(*loop_, [this](DomainId domain) { told_.push_back(domain); });
  watch.Add(12, pid_);
  EXPECT_EQ(Told(), Ids{});
  Kill();
  EXPECT_EQ(Told(), Ids{12});
  EXPECT_EQ(Told(), Ids{});
}

TEST_F(DeviceModelWatchTest, TellsOfOneThatIsGoneAlready) {
  DeviceModelWatch watch(*loop_, [this](DomainId domain) { told_.push_back(domain); });
  Kill();
  watch.Add(12, pid_);
  EXPECT_EQ(Told(), Ids{12});
}

TEST_F(DeviceModelWatchTest, TellsOfOneWhoseProcessIsAnotherByNow) {
  DeviceModelWatch watch(*loop_, [this](DomainId domain) { told_.push_back(domain); });
  watch.Add(13, pid_);
  EXPECT_EQ(Told(), Ids{13});
}

TEST_F(DeviceModelWatchTest, TellsNothingOfOneThatWasRemoved) {
  DeviceModelWatch watch(*loop_, [this](DomainId domain) { told_.push_back(domain); });
  watch.Add(12, pid_);
  watch.Add(13, pid_);
  watch.Remove(12);
  watch.Remove(13);
  Kill();
  EXPECT_EQ(Told(), Ids{});
}

}  // namespace
}  // namespace librettos::xen
