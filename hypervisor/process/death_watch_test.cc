// Real processes; the one that the kernel is to mark runs in a PID namespace of its own, as a domain does.
#include "hypervisor/process/death_watch.h"

#include <gtest/gtest.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <thread>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "hypervisor/process/domain_record.h"
#include "hypervisor/process/task_state.h"
#include "hypervisor/process/wire.h"

namespace librettos::process {
namespace {

constexpr hypervisor::DomainId kDomain = 7;
constexpr absl::Duration kPatience = absl::Seconds(20);

class DeathWatchTest : public testing::Test {
 protected:
  void SetUp() override {
    memory_ = std::make_shared<Descriptor>(memfd_create("life", MFD_CLOEXEC));
    ASSERT_EQ(ftruncate(memory_->get(), 4096), 0);
    word_ = static_cast<std::atomic<uint32_t>*>(
        mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory_->get(), 0));
    ASSERT_NE(word_, MAP_FAILED);
    *word_ = kAlive;
  }
  void TearDown() override {
    for (const pid_t pid : children_) {
      kill(pid, SIGKILL);
      waitpid(pid, nullptr, 0);
    }
    munmap(word_, 4096);
  }
  pid_t Fork(const std::function<void()>& child, uint64_t flags = 0) {
    clone_args arguments{};
    arguments.flags = flags;
    arguments.exit_signal = SIGCHLD;
    const auto pid = static_cast<pid_t>(syscall(SYS_clone3, &arguments, sizeof(arguments)));
    if (pid == 0) {
      child();
      while (true) pause();
    }
    if (pid > 0) children_.push_back(pid);
    return pid;
  }
  void Watch(pid_t pid) {
    watch_.Add(kDomain, pid, StartTime(pid).value_or(0), {.descriptor = memory_, .bytes = 4096});
  }
  // What the kernel does for a robust futex whose owner exits, and what a liar can do as well.
  void Mark() {
    *word_ = FUTEX_OWNER_DIED;
    syscall(SYS_futex, word_, FUTEX_WAKE, 1, nullptr, nullptr, 0);
  }
  void Kill(pid_t pid) {
    ASSERT_EQ(kill(pid, SIGKILL), 0);
    siginfo_t info;
    ASSERT_EQ(waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT), 0);
  }
  std::map<hypervisor::DomainId, int> Told() {
    absl::MutexLock lock(&mutex_);
    return told_;
  }
  bool Await(const std::function<bool()>& condition) {
    const absl::Time limit = absl::Now() + kPatience;
    while (!condition()) {
      if (absl::Now() > limit) return false;
      absl::SleepFor(absl::Milliseconds(1));
    }
    return true;
  }

  std::shared_ptr<Descriptor> memory_;
  std::atomic<uint32_t>* word_ = nullptr;
  std::vector<pid_t> children_;
  absl::Mutex mutex_;
  std::map<hypervisor::DomainId, int> told_ ABSL_GUARDED_BY(mutex_);
  DeathWatch watch_{[this](hypervisor::DomainId id, int status) {
    absl::MutexLock lock(&mutex_);
    told_[id] = status;
  }};
};

TEST_F(DeathWatchTest, TheKernelMarksTheWordOfWhoIsKilled) {
  struct {
    robust_list_head head;
    robust_list entry;
  } list{};
  list.entry.next = &list.head.list;
  list.head.list.next = &list.entry;
  list.head.futex_offset = reinterpret_cast<char*>(word_) - reinterpret_cast<char*>(&list.entry);
  auto* ready = word_ + 1;
  const pid_t pid =
      Fork([&] { *ready = syscall(SYS_set_robust_list, &list.head, sizeof(list.head)) == 0 ? 1 : 2; },
           CLONE_NEWUSER | CLONE_NEWPID);
  if (pid < 0) GTEST_SKIP() << "no namespaces here";
  ASSERT_TRUE(Await([&] { return *ready != 0; }));
  ASSERT_EQ(*ready, 1u);
  Watch(pid);
  EXPECT_EQ(watch_.watched(), 1u);
  ASSERT_EQ(kill(pid, SIGKILL), 0);
  // It is not waited for before this.
  ASSERT_TRUE(Await([&] { return Told().count(kDomain) > 0; }));
  EXPECT_EQ(Told()[kDomain], SIGKILL);
  EXPECT_NE(*word_ & FUTEX_OWNER_DIED, 0u);
}

TEST_F(DeathWatchTest, TellsTheStatusOfWhoEnded) {
  const pid_t pid = Fork([] { _exit(3); });
  siginfo_t info;
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT), 0);
  Watch(pid);
  Mark();
  ASSERT_TRUE(Await([&] { return Told().count(kDomain) > 0; }));
  EXPECT_EQ(WEXITSTATUS(Told()[kDomain]), 3);
  EXPECT_EQ(watch_.watched(), 0u);
}

TEST_F(DeathWatchTest, DoesNotBelieveWhoLives) {
  Watch(Fork([] {}));
  Mark();
  ASSERT_TRUE(Await([&] { return watch_.watched() == 0; }));
  EXPECT_TRUE(Told().empty());
}

TEST_F(DeathWatchTest, DoesNotBelieveWhoseOtherThreadLives) {
  const pid_t pid = Fork([] {
    std::thread([] {
      while (true) pause();
    }).detach();
    syscall(SYS_exit, 0);
  });
  ASSERT_TRUE(Await([&] {
    char state = 0;
    const std::string path = "/proc/" + std::to_string(pid) + "/stat";
    FILE* file = fopen(path.c_str(), "r");
    if (file == nullptr) return false;
    const int read = fscanf(file, "%*d (%*[^)]) %c", &state);
    fclose(file);
    return read == 1 && state == 'Z';
  })) << "its first thread ends";
  EXPECT_FALSE(EndedWith(pid, *StartTime(pid)).has_value());
  Watch(pid);
  Mark();
  ASSERT_TRUE(Await([&] { return watch_.watched() == 0; }));
  EXPECT_TRUE(Told().empty());
}

TEST_F(DeathWatchTest, DoesNotTakeAnotherProcessOfTheSamePidForIt) {
  const pid_t pid = Fork([] {});
  const uint64_t start = *StartTime(pid);
  Kill(pid);
  EXPECT_FALSE(EndedWith(pid, start + 1).has_value());
  EXPECT_EQ(EndedWith(pid, start), SIGKILL);
}

TEST_F(DeathWatchTest, LeavesAnOrderlyEndToOthers) {
  const pid_t pid = Fork([] { _exit(0); });
  siginfo_t info;
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT), 0);
  EXPECT_FALSE(EndedWith(pid, *StartTime(pid)).has_value());
}

TEST_F(DeathWatchTest, TellsNothingOfWhoWasRemoved) {
  const pid_t pid = Fork([] {});
  Watch(pid);
  watch_.Remove(kDomain);
  EXPECT_EQ(watch_.watched(), 0u);
  Kill(pid);
  Mark();
  EXPECT_TRUE(Told().empty());
}

TEST_F(DeathWatchTest, DoesNotWatchAWordThatIsNone) {
  *word_ = 5;
  Watch(Fork([] {}));
  EXPECT_EQ(watch_.watched(), 0u);
}

}  // namespace
}  // namespace librettos::process
