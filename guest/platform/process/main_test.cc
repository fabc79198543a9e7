// A domain binary as the daemon starts it: static, argv, descriptor 3, and nothing else.
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "guest/platform/process/test_daemon.h"

namespace librettos::process {
namespace {

const char* probe_binary = nullptr;

pid_t Start(int control, const char* argument) {
  const pid_t child = fork();
  if (child != 0) return child;
  // Room at descriptor 3, whatever stands there.
  const int moved = fcntl(control, F_DUPFD, 10);
  dup2(moved, kControlDescriptor);
  char* const arguments[] = {const_cast<char*>("probe"), const_cast<char*>("one"),
                             const_cast<char*>(argument), nullptr};
  setenv(kCpusVariable, "2", 1);
  execv(probe_binary, arguments);
  _exit(126);
}

int WaitFor(pid_t child) {
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return status;
}

// Blocks until the domain sends a message of this type.
std::optional<Packet> Await(TestDaemon& daemon, WireType type) {
  for (;;) {
    pollfd ready = {daemon.fd(), POLLIN, 0};
    poll(&ready, 1, -1);
    std::optional<Packet> packet = daemon.Receive();
    if (!packet) return std::nullopt;  // Closed: the domain is dead.
    if (packet->type() == type) return packet;
  }
}

TEST(Main, RunsADomainToItsOrderlyEnd) {
  ListeningSocket socket;
  Descriptor listening = socket.Take();
  const pid_t child = Start(listening.get(), "run");
  TestDaemon daemon(socket.Connect());
  daemon.Hello(7);
  const std::optional<Packet> ready = Await(daemon, WireType::kPublish);
  ASSERT_TRUE(ready);
  EXPECT_EQ(ready->path, "/local/domain/7/data/ready");
  // The next daemon is told the same.
  daemon.Close();
  TestDaemon next(socket.Connect());
  next.Hello(7);
  ASSERT_TRUE(Await(next, WireType::kGrant));
  ASSERT_TRUE(Await(next, WireType::kOffer));
  ASSERT_TRUE(Await(next, WireType::kPublish));
  ASSERT_TRUE(Await(next, WireType::kDeclared));
  next.Key("/local/domain/7/control/shutdown", "poweroff");
  const int status = WaitFor(child);
  ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 42);
}

TEST(Main, ForbiddenCallKills) {
  ListeningSocket socket;
  Descriptor listening = socket.Take();
  const pid_t child = Start(listening.get(), "forbidden");
  TestDaemon daemon(socket.Connect());
  daemon.Hello(7);
  const int status = WaitFor(child);
  ASSERT_TRUE(WIFSIGNALED(status)) << "exit status " << WEXITSTATUS(status);
  EXPECT_EQ(WTERMSIG(status), SIGSYS);
}

TEST(Main, PanicAborts) {
  ListeningSocket socket;
  Descriptor listening = socket.Take();
  const pid_t child = Start(listening.get(), "panic");
  TestDaemon daemon(socket.Connect());
  daemon.Hello(7);
  const int status = WaitFor(child);
  ASSERT_TRUE(WIFSIGNALED(status)) << "exit status " << WEXITSTATUS(status);
  EXPECT_EQ(WTERMSIG(status), SIGABRT);
}

TEST(Main, RefusesToStartWithoutAControlSocket) {
  Descriptor null(open("/dev/null", O_RDWR));
  const int status = WaitFor(Start(null.get(), "run"));
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 125);
}

}  // namespace
}  // namespace librettos::process

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (argc > 1) librettos::process::probe_binary = argv[1];
  return RUN_ALL_TESTS();
}
