#include "guest/platform/process/sandbox.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "guest/platform/platform.h"

namespace librettos::process {
namespace {

// Runs `body` in a sandboxed child; its wait status.
template <class Body>
int Sandboxed(Body body) {
  const pid_t child = fork();
  if (child == 0) {
    if (!InstallSandbox().ok()) _exit(99);
    body();
    _exit(0);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return status;
}

#define EXPECT_KILLED(...)                                                                                   \
  do {                                                                                                       \
    const int status = Sandboxed([] { (void)(__VA_ARGS__); });                                               \
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) << #__VA_ARGS__ << ": status " << status; \
  } while (0)

TEST(Sandbox, AllowsWhatThePlatformNeeds) {
  EXPECT_EQ(Sandboxed([] {
              void* memory = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
              if (memory == MAP_FAILED || munmap(memory, 4096) != 0) _exit(1);
              std::byte random[8];
              Random(random);
              if (Now() == 0) _exit(2);
              Log("sandbox_test: a line");
            }),
            0);
}

TEST(Sandbox, ForbiddenCallsKill) {
  EXPECT_KILLED(open("/etc/passwd", O_RDONLY));
  EXPECT_KILLED(socket(AF_INET, SOCK_STREAM, 0));
  EXPECT_KILLED(fork());
  EXPECT_KILLED(execl("/bin/true", "true", nullptr));
  EXPECT_KILLED(kill(1, 0));
  EXPECT_KILLED(getppid());
}

TEST(Sandbox, HoldsForThreadsThatRanBefore) {
  std::atomic<bool> confined{false};
  const pid_t child = fork();
  if (child == 0) {
    std::thread other([&] {
      while (!confined.load()) Yield();
      (void)getppid();
      _exit(1);
    });
    if (!InstallSandbox().ok()) _exit(99);
    confined.store(true);
    other.join();
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) << status;
}

TEST(Sandbox, NoNewThreads) {
  // What a libc asks for in a new thread.
  EXPECT_KILLED(syscall(SYS_clone, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD, 0));
  EXPECT_KILLED(syscall(SYS_clone3, nullptr, 0));
}

TEST(Sandbox, NoExecutableMemory) {
  EXPECT_KILLED(mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  EXPECT_KILLED(mprotect(reinterpret_cast<void*>(0x1000), 4096, PROT_EXEC));
}

TEST(Sandbox, SharedDescriptorsCannotBeMadeBlocking) {
  EXPECT_KILLED(fcntl(0, F_SETFL, 0));
  EXPECT_EQ(Sandboxed([] { (void)fcntl(0, F_GETFL); }), 0);
}

TEST(Sandbox, OnlySelfCanBeSignalled) {
  const int status = Sandboxed([] { abort(); });
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) << status;
}

}  // namespace
}  // namespace librettos::process
