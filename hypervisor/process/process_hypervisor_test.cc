// Real domains: needs root. Each test has a run directory of its own.
#include "hypervisor/process/process_hypervisor.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "hypervisor/process/descriptor.h"
#include "hypervisor/process/limits.h"

namespace librettos::process {
namespace {

namespace fs = std::filesystem;
using hypervisor::DomainConfig;
using hypervisor::DomainExit;
using hypervisor::DomainKind;
using hypervisor::Hypervisor;
using hypervisor::NicConfig;

std::string probe_path;  // From the command line.

struct Recorder : hypervisor::DomainObserver {
  void OnDomainExit(DomainId domain, const DomainExit& exit) override { exits[domain] = exit; }
  void OnDomainConnected(DomainId domain) override { ++connected[domain]; }
  void OnDeviceReturned(DomainId domain, const std::string& nic) override { returned[nic] = domain; }
  void OnDomainViolation(DomainId domain, const std::string& reason) override {
    violations[domain] = reason;
    if (on_violation) on_violation();
  }
  std::function<void()> on_violation;
  std::map<DomainId, DomainExit> exits;
  std::map<DomainId, int> connected;
  std::map<std::string, DomainId> returned;
  std::map<DomainId, std::string> violations;
};

class ProcessHypervisorTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root, to start domains";
    char directory[] = "/tmp/librettos-test-XXXXXX";
    directory_ = mkdtemp(directory);
    loop_ = *EventLoop::Create();
    Start();
  }

  void TearDown() override {
    if (hypervisor_ == nullptr) return;
    for (const auto& [id, name] : all_) (void)hypervisor_->Destroy(id);
    for (const auto& [id, name] : all_) {
      UpTo([&, id = id] { return hypervisor_->Pid(id) == 0; });
    }
    hypervisor_.reset();
    fs::remove_all(directory_);
    for (const std::string& space : spaces_) (void)!system(("ip netns del " + space).c_str());
  }

  void Start() {
    auto made = ProcessHypervisor::Create(*loop_, {.run_directory = directory_ + "/run",
                                                   .log_directory = directory_ + "/log",
                                                   .server_image = probe_path,
                                                   .guest_image = probe_path});
    ASSERT_TRUE(made.ok()) << made.status();
    hypervisor_ = *std::move(made);
    hypervisor_->SetObserver(&recorder_);
  }

  // Destroys the daemon's object, as its death would, and starts another in the same directory.
  void Restart() {
    hypervisor_.reset();
    recorder_ = Recorder();
    Start();
  }

  // Turns the loop until `done`; fails after 20 s, which only a lost wake-up can take.
  void UpTo(const std::function<bool()>& done) {
    bool late = false;
    const auto limit = loop_->After(absl::Seconds(20), [&] {
      late = true;
      loop_->Stop();
    });
    std::function<void()> check = [&] {
      if (done()) {
        loop_->Stop();
      } else {
        next_ = loop_->After(absl::Milliseconds(1), check);
      }
    };
    check();
    loop_->Loop();
    loop_->Cancel(next_);
    loop_->Cancel(limit);
    ASSERT_FALSE(late) << "what was waited for did not happen";
  }

  // 0: it could not be started.
  DomainId CreateDomain(DomainConfig config = {.name = "guests/web"}) {
    absl::StatusOr<DomainId> id = hypervisor_->Create(config);
    EXPECT_TRUE(id.ok()) << id.status();
    if (!id.ok()) return 0;
    all_[*id] = config.name;
    UpTo([&] { return recorder_.connected[*id] > 0; });
    return *id;
  }

  std::string Value(DomainId id, const std::string& key) {
    return hypervisor_->Read(absl::StrCat("/local/domain/", id, "/", key)).value_or("");
  }

  // What the probe saw of the world.
  std::map<std::string, std::string> Report(DomainId id) {
    std::map<std::string, std::string> report;
    for (absl::string_view line : absl::StrSplit(Value(id, "data/report"), '\n', absl::SkipEmpty())) {
      report.insert(absl::StrSplit(line, absl::MaxSplits('=', 1)));
    }
    return report;
  }

  void Order(DomainId id, const std::string& order) {
    hypervisor_->Write(absl::StrCat("/local/domain/", id, "/control/do"), order);
  }

  std::string MakeNamespace() {
    const std::string name = absl::StrCat("lbt-", getpid(), "-", spaces_.size());
    EXPECT_EQ(system(("ip netns add " + name).c_str()), 0);
    spaces_.push_back(name);
    return name;
  }

  // A frame with `text` in it, to the TAP interface tap0 in `space` from the wire.
  static void SendToTap(const std::string& space, const std::string& text) {
    std::thread([&] {
      const Descriptor net(open(("/run/netns/" + space).c_str(), O_RDONLY | O_CLOEXEC));
      ASSERT_EQ(setns(net.get(), CLONE_NEWNET), 0);
      const Descriptor socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
      sockaddr_ll to{};
      to.sll_family = AF_PACKET;
      to.sll_ifindex = static_cast<int>(if_nametoindex("tap0"));
      std::string frame(60, '\0');
      frame.replace(0, 6, 6, '\xff');
      frame.replace(14, text.size(), text);
      ASSERT_EQ(
          sendto(socket.get(), frame.data(), frame.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof(to)),
          60);
    }).join();
  }

  // In how many frames that the domain's NIC has received `text` stands.
  std::string Found(DomainId id, const std::string& text) {
    hypervisor_->Remove(absl::StrCat("/local/domain/", id, "/data/found"));
    Order(id, "read " + text);
    UpTo([&] { return !Value(id, "data/found").empty(); });
    return Value(id, "data/found");
  }

  std::string directory_;
  std::unique_ptr<EventLoop> loop_;
  Recorder recorder_;
  std::unique_ptr<Hypervisor> hypervisor_;
  std::map<DomainId, std::string> all_;
  std::vector<std::string> spaces_;
  EventLoop::TimerId next_ = 0;
};

TEST_F(ProcessHypervisorTest, ConfinesTheDomain) {
  const std::string files = directory_ + "/files";
  fs::create_directories(files);
  std::ofstream(files + "/file") << "content";
  setenv("LIBRETTOS_SECRET", "1", 1);
  const int leak = open("/etc/passwd", O_RDONLY);  // Without O_CLOEXEC.
  const DomainId id = CreateDomain({.name = "guests/web", .arguments = {"first argument"}, .files = files});
  close(leak);
  auto report = Report(id);
  EXPECT_EQ(report["descriptors"], "0,1,2,3,");
  EXPECT_EQ(report["uid"], "0,0,0");
  EXPECT_EQ(report["groups"], "0");
  EXPECT_EQ(report["pid"], "1");
  EXPECT_EQ(report["leader"], "1");
  EXPECT_EQ(report["capabilities"], "0");
  EXPECT_EQ(report["bounding"], "0");
  EXPECT_EQ(report["no_new_privs"], "1");
  EXPECT_EQ(report["etc"], std::to_string(ENOENT));
  EXPECT_EQ(report["parent"], std::to_string(ENOENT));
  EXPECT_EQ(report["proc"], std::to_string(ENOENT));
  EXPECT_TRUE(report["create"] == std::to_string(EROFS) || report["create"] == std::to_string(EACCES))
      << report["create"];
  EXPECT_EQ(report["read"], "opened");
  EXPECT_TRUE(report["write"] == std::to_string(EROFS) || report["write"] == std::to_string(EACCES));
  EXPECT_EQ(report["hostname"], "guests-web");
  rlimit own{};
  getrlimit(RLIMIT_NOFILE, &own);
  EXPECT_EQ(report["limits"], absl::StrCat(std::min<rlim_t>(kMaxOpenFiles, own.rlim_max), ",0"));
  EXPECT_EQ(report["environment"], "empty");
  EXPECT_EQ(report["arguments"], "first argument");
  // From outside: an unprivileged host user, and no namespace shared with the daemon.
  const std::string process = absl::StrCat("/proc/", hypervisor_->Pid(id));
  std::stringstream status;
  status << std::ifstream(process + "/status").rdbuf();
  EXPECT_NE(status.str().find(absl::StrCat("Uid:\t", 0x70000000 + id, "\t")), std::string::npos)
      << status.str();
  for (const char* space : {"user", "pid", "mnt", "net", "ipc", "uts"}) {
    EXPECT_NE(fs::read_symlink(process + "/ns/" + space),
              fs::read_symlink(std::string("/proc/self/ns/") + space));
  }
}

// The probe has no sandbox of its own.
TEST_F(ProcessHypervisorTest, TellsTheDomainHowManyCpusItHas) {
  EXPECT_EQ(Report(CreateDomain({.name = "guests/web", .vcpus = 3}))["environment"], "LIBRETTOS_CPUS=3");
}

TEST_F(ProcessHypervisorTest, RefusesCallsOfAnImageThatDoesNotConfineItself) {
  const DomainId id = CreateDomain();
  auto report = Report(id);
  const std::string denied = std::to_string(EPERM);
  EXPECT_EQ(report["blocking"], denied) << "a shared doorbell could be made blocking";
  EXPECT_EQ(report["fionbio"], denied) << "a shared doorbell could be made blocking";
  EXPECT_EQ(report["nonblocking"], "1");
  EXPECT_EQ(report["own"], denied);
  EXPECT_EQ(report["execute"], denied);
  EXPECT_EQ(report["execveat"], denied);
  EXPECT_EQ(report["setsockopt"], denied);
  EXPECT_EQ(report["clone3"], std::to_string(ENOSYS));
  EXPECT_EQ(report["threads"], "1");
}

TEST_F(ProcessHypervisorTest, KillsAnImageThatTriesWhatNoDomainNeeds) {
  const std::string killed = absl::StrCat("killed by signal ", SIGSYS);
  for (const char* order : {"call fork", "call clone", "call execve", "call ptrace", "call mount",
                            "call unshare", "call inet", "call unix", "call bpf", "call perf", "call keyctl",
                            "call io_uring", "call x32", "tighten"}) {  // The last: by a filter of its own.
    const DomainId id = CreateDomain();
    Order(id, order);
    UpTo([&] { return recorder_.exits.count(id) > 0; });
    EXPECT_EQ(recorder_.exits[id].description.substr(0, killed.size()), killed) << order;
  }
}

TEST_F(ProcessHypervisorTest, LogsToAFile) {
  const DomainId id = CreateDomain();
  std::stringstream log;
  log << std::ifstream(absl::StrCat(directory_, "/log/", id, "-guests-web.log")).rdbuf();
  EXPECT_EQ(log.str(), "probe domain runs\n");
}

TEST_F(ProcessHypervisorTest, KeepsTheLogsOfDomainsThatEndedLast) {
  const DomainId running = CreateDomain(), ended = CreateDomain();
  constexpr int kOld = ProcessHypervisor::kMaxEndedLogs + 10;
  for (int i = 0; i < kOld; ++i)
    std::ofstream(absl::StrCat(directory_, "/log/", 1000 + i, "-guests-old.log")) << "x";
  std::ofstream(directory_ + "/log/notes.txt") << "not ours";
  Order(ended, "exit 0");
  UpTo([&] { return recorder_.exits.count(ended) > 0; });
  const auto exists = [&](DomainId id, const char* name) {
    return fs::exists(absl::StrCat(directory_, "/log/", id, "-guests-", name, ".log"));
  };
  EXPECT_TRUE(exists(running, "web")) << "it still writes to it";
  EXPECT_FALSE(exists(ended, "web")) << "the oldest of those that ended";
  EXPECT_FALSE(exists(1009, "old"));
  EXPECT_TRUE(exists(1010, "old"));
  EXPECT_TRUE(exists(1000 + kOld - 1, "old"));
  EXPECT_TRUE(fs::exists(directory_ + "/log/notes.txt"));
}

TEST_F(ProcessHypervisorTest, LeavesNothingOfADomainInItsTables) {
  const auto before = hypervisor_->Census();
  const DomainId id = CreateDomain();
  EXPECT_GT(hypervisor_->Census().at("registry_keys"), before.at("registry_keys"));
  EXPECT_EQ(hypervisor_->Census().at("grants"), 1u);
  hypervisor_->AllowRead(absl::StrCat("/local/domain/", id, "/data"), id + 1);
  hypervisor_->Reserve(absl::StrCat("/local/domain/", id, "/data/x"));
  Order(id, "exit 0");
  UpTo([&] { return recorder_.exits.count(id) > 0; });
  EXPECT_EQ(hypervisor_->Census(), before);
}

TEST_F(ProcessHypervisorTest, ReportsHowADomainEnds) {
  const DomainId orderly = CreateDomain(), failed = CreateDomain(), crashed = CreateDomain(),
                 killed = CreateDomain();
  Order(orderly, "exit 0");
  Order(failed, "exit 3");
  Order(crashed, "crash");
  ASSERT_TRUE(hypervisor_->Destroy(killed).ok());
  UpTo([&] { return recorder_.exits.size() == 4; });
  EXPECT_TRUE(recorder_.exits[orderly].orderly);
  EXPECT_FALSE(recorder_.exits[failed].orderly);
  EXPECT_EQ(recorder_.exits[failed].description, "exit status 3");
  EXPECT_EQ(recorder_.exits[crashed].description.substr(0, 17), "killed by signal ");
  EXPECT_EQ(recorder_.exits[killed].description, "killed by signal 9");
  EXPECT_TRUE(hypervisor_->List(absl::StrCat("/local/domain/", killed)).empty());
  EXPECT_TRUE(absl::IsNotFound(hypervisor_->Destroy(killed)));
  EXPECT_TRUE(fs::is_empty(directory_ + "/run/domains"));
}

TEST_F(ProcessHypervisorTest, ExplainsWhatCannotStart) {
  const auto failure = [&](DomainConfig config) {
    return std::string(hypervisor_->Create(config).status().message());
  };
  EXPECT_NE(failure({.name = "x", .image = "/nonexistent"}).find("cannot be opened"), std::string::npos);
  EXPECT_NE(failure({.name = "x", .image = "/etc/passwd"}).find("not executable"), std::string::npos);
  EXPECT_NE(failure({.name = "x", .image = "/bin/sh"}).find("-static"), std::string::npos);
  EXPECT_NE(failure({.name = "x", .image = "/usr/bin/ldd"}).find("not a 64-bit ELF"), std::string::npos);
  EXPECT_NE(failure({.name = "x", .files = "/nonexistent"}).find("not a directory"), std::string::npos);
  // An ELF header with nothing behind it passes the first look, and fails in the child.
  const std::string broken = directory_ + "/broken";
  fs::copy_file(probe_path, broken);
  fs::resize_file(broken, 4096);
  chmod(broken.c_str(), 0755);
  DomainConfig config{.name = "x", .image = broken};
  absl::StatusOr<DomainId> started = hypervisor_->Create(config);
  if (started.ok()) {
    all_[*started] = "x";
    UpTo([&, id = *started] { return recorder_.exits.count(id) > 0; });
    EXPECT_FALSE(recorder_.exits[*started].orderly);
  }
  EXPECT_TRUE(fs::is_empty(directory_ + "/run/domains"));
}

TEST_F(ProcessHypervisorTest, SurvivesTheDaemonAndIsAdopted) {
  const DomainId id = CreateDomain();
  const int32_t pid = hypervisor_->Pid(id);
  Restart();
  ASSERT_EQ(hypervisor_->Adopted().size(), 1u);
  EXPECT_EQ(hypervisor_->Adopted()[0], std::make_pair(id, std::string("guests/web")));
  EXPECT_EQ(hypervisor_->Pid(id), pid);
  UpTo([&] { return recorder_.connected[id] == 1; });
  EXPECT_NE(Value(id, "data/report"), "");
  EXPECT_GT(CreateDomain(), id);
  Order(id, "exit 0");
  UpTo([&] { return recorder_.exits.count(id) > 0; });
  EXPECT_TRUE(hypervisor_->Adopted().empty());
}

TEST_F(ProcessHypervisorTest, DoesNotAdoptAnotherProcessOfTheSamePid) {
  hypervisor_.reset();
  DomainRecord record{.id = 7, .pid = getpid(), .start_time = 1, .kind = DomainKind::kGuest, .name = "x"};
  ASSERT_TRUE(WriteRecord(directory_ + "/run/domains", record).ok());
  Start();
  EXPECT_TRUE(hypervisor_->Adopted().empty());
  EXPECT_TRUE(fs::is_empty(directory_ + "/run/domains"));
  EXPECT_GT(CreateDomain(), 7u);
}

TEST_F(ProcessHypervisorTest, DisconnectsGarbageAndRefusesForeignKeys) {
  const DomainId id = CreateDomain();
  Order(id, "forbidden");
  UpTo([&] { return recorder_.violations.count(id) > 0; });
  EXPECT_NE(recorder_.violations[id].find("may not write"), std::string::npos) << recorder_.violations[id];
  EXPECT_EQ(recorder_.connected[id], 1);
  recorder_.violations.clear();
  hypervisor_->Watch("/local/domain", [](const std::string&) {});
  Order(id, "garbage");
  UpTo([&] { return recorder_.connected[id] > 1; });
  EXPECT_TRUE(hypervisor_->Read("/local/domain/0/data/x").status().code() == absl::StatusCode::kNotFound);
}

TEST_F(ProcessHypervisorTest, TellsTheWatcherWhenTheFirstStateIsComplete) {
  const DomainId id = CreateDomain();
  UpTo([&] { return Value(id, "data/synced") == absl::StrCat("/local/domain/", id, "/control"); });
}

TEST_F(ProcessHypervisorTest, ReadsStatistics) {
  const DomainId id = CreateDomain();
  ASSERT_TRUE(hypervisor_->Heartbeat(id).ok()) << hypervisor_->Heartbeat(id).status();
  EXPECT_EQ(*hypervisor_->Heartbeat(id), 42u);
  EXPECT_EQ(hypervisor_->Statistics(id)->size(), 128u);
  EXPECT_TRUE(absl::IsNotFound(hypervisor_->Heartbeat(id + 1).status()));
}

TEST_F(ProcessHypervisorTest, GivesANicAndFindsItAgain) {
  const NicConfig config{.interface = "tap0", .network_namespace = "/run/netns/" + MakeNamespace()};
  auto info = hypervisor_->OpenNic("nics/wire", config);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->mtu, 1500u);
  EXPECT_EQ(info->address.substr(0, 3), "02:");
  const DomainId id = CreateDomain(), other = CreateDomain();
  ASSERT_TRUE(hypervisor_->GiveNic("nics/wire", id, "").ok());
  UpTo([&] { return Value(id, "data/nic") == "nics/wire"; });
  EXPECT_TRUE(absl::IsFailedPrecondition(hypervisor_->GiveNic("nics/wire", other, "")));
  EXPECT_TRUE(absl::IsNotFound(hypervisor_->GiveNic("nics/none", id, "")));
  EXPECT_TRUE(absl::IsInvalidArgument(hypervisor_->GiveNic("nics/wire", id, "01:00:00:00:00:00")));

  Restart();
  EXPECT_TRUE(absl::IsUnavailable(hypervisor_->OpenNic("nics/wire", config).status()));
  UpTo([&] { return recorder_.connected[id] == 1 && recorder_.connected[other] == 1; });
  auto again = hypervisor_->OpenNic("nics/wire", config);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->address, info->address);
  EXPECT_TRUE(absl::IsFailedPrecondition(hypervisor_->GiveNic("nics/wire", other, "")));
  Order(id, "return");
  UpTo([&] { return recorder_.returned["nics/wire"] == id; });
  EXPECT_TRUE(hypervisor_->GiveNic("nics/wire", other, "").ok());
  UpTo([&] { return Value(other, "data/nic") == "nics/wire"; });
  // Its death frees it.
  ASSERT_TRUE(hypervisor_->Destroy(other).ok());
  UpTo([&] { return recorder_.exits.count(other) > 0; });
  EXPECT_TRUE(hypervisor_->GiveNic("nics/wire", id, "").ok());
  Order(id, "exit 0");
  UpTo([&] { return recorder_.exits.count(id) > 0; });
  // The interface was made here, by an earlier daemon: it goes.
  ASSERT_TRUE(hypervisor_->CloseNic("nics/wire").ok());
  EXPECT_NE(system(("ip -n " + spaces_[0] + " link show tap0 >/dev/null 2>&1").c_str()), 0);
}

TEST_F(ProcessHypervisorTest, LearnsOfAReturnThatWasLostWithItsConnection) {
  const NicConfig config{.interface = "tap0", .network_namespace = "/run/netns/" + MakeNamespace()};
  ASSERT_TRUE(hypervisor_->OpenNic("wire", config).ok());
  const DomainId id = CreateDomain(), other = CreateDomain();
  ASSERT_TRUE(hypervisor_->GiveNic("wire", id, "").ok());
  UpTo([&] { return Value(id, "data/nic") == "wire"; });
  Order(id, "return and break");
  UpTo([&] { return recorder_.returned["wire"] == id; });
  ASSERT_TRUE(hypervisor_->GiveNic("wire", other, "").ok());
  UpTo([&] { return Value(other, "data/nic") == "wire"; });
  // What it declares on each further connection takes the NIC from nobody, and is no offence.
  recorder_.violations.clear();
  const int connections = recorder_.connected[id];
  Order(id, "break");
  UpTo([&] { return recorder_.connected[id] > connections; });
  EXPECT_TRUE(recorder_.violations.empty()) << recorder_.violations[id];
  EXPECT_TRUE(absl::IsFailedPrecondition(hypervisor_->GiveNic("wire", id, "")));
}

TEST_F(ProcessHypervisorTest, ForgetsAReturnOfAnEarlierGiving) {
  const NicConfig config{.interface = "tap0", .network_namespace = "/run/netns/" + MakeNamespace()};
  ASSERT_TRUE(hypervisor_->OpenNic("wire", config).ok());
  const DomainId id = CreateDomain(), other = CreateDomain();
  ASSERT_TRUE(hypervisor_->GiveNic("wire", id, "").ok());
  UpTo([&] { return Value(id, "data/nic") == "wire"; });
  Order(id, "return");
  UpTo([&] { return recorder_.returned["wire"] == id; });
  // Given again while it is away: it declares the old return before it is told.
  const int connections = recorder_.connected[id];
  recorder_.on_violation = [&] { ASSERT_TRUE(hypervisor_->GiveNic("wire", id, "").ok()); };
  recorder_.returned.clear();
  Order(id, "garbage");
  UpTo([&] { return recorder_.connected[id] > connections; });
  EXPECT_EQ(recorder_.returned.count("wire"), 0u);
  EXPECT_TRUE(absl::IsFailedPrecondition(hypervisor_->GiveNic("wire", other, "")));
}

TEST_F(ProcessHypervisorTest, GivesNobodyWhatANicReceivedForAnother) {
  const std::string space = MakeNamespace();
  const NicConfig config{.interface = "tap0", .network_namespace = "/run/netns/" + space};
  ASSERT_TRUE(hypervisor_->OpenNic("wire", config).ok());
  const auto kServer = DomainKind::kServer, kGuest = DomainKind::kGuest;
  struct {
    DomainKind from, to;
    bool restart;
    std::string found;
  } const cases[] = {
      {kGuest, kGuest, false, "0"},
      {kGuest, kServer, false, "0"},
      {kGuest, kServer, true, "0"},
      {kServer, kGuest, false, "0"},
      {kServer, kServer, false, "1"},  // It stands in for the other: nothing
                                       // is to be lost.
      {kServer, kServer, true, "1"},
  };
  for (const auto& [from, to, restart, found] : cases) {
    SCOPED_TRACE(testing::Message() << (from == kServer ? "server" : "guest") << " to "
                                    << (to == kServer ? "server" : "guest")
                                    << (restart ? ", the daemon restarted" : ""));
    const DomainId first = CreateDomain({.name = "first", .kind = from});
    const DomainId second = CreateDomain({.name = "second", .kind = to});
    ASSERT_TRUE(hypervisor_->GiveNic("wire", first, "").ok());
    UpTo([&] { return Value(first, "data/nic") == "wire"; });
    if (restart) {
      Restart();
      UpTo([&] { return recorder_.connected[first] && recorder_.connected[second]; });
      ASSERT_TRUE(hypervisor_->OpenNic("wire", config).ok());
    }
    SendToTap(space, "secret");
    ASSERT_TRUE(hypervisor_->Destroy(first).ok());
    UpTo([&] { return recorder_.exits.count(first) > 0; });
    ASSERT_TRUE(hypervisor_->GiveNic("wire", second, "").ok());
    UpTo([&] { return Value(second, "data/nic") == "wire"; });
    EXPECT_EQ(Found(second, "secret"), found);
    SendToTap(space, "own");
    EXPECT_EQ(Found(second, "own"), "1") << "what comes afterwards is its own";
    ASSERT_TRUE(hypervisor_->Destroy(second).ok());
    UpTo([&] { return recorder_.exits.count(second) > 0; });
  }
}

TEST_F(ProcessHypervisorTest, TakesNoNicBackThatItsUserStillHasOpen) {
  const NicConfig config{.interface = "tap0", .network_namespace = "/run/netns/" + MakeNamespace()};
  ASSERT_TRUE(hypervisor_->OpenNic("wire", config).ok());
  const DomainId id = CreateDomain(), other = CreateDomain();
  ASSERT_TRUE(hypervisor_->GiveNic("wire", id, "").ok());
  UpTo([&] { return Value(id, "data/nic") == "wire"; });
  Order(id, "return and keep");
  UpTo([&] { return recorder_.violations.count(id) > 0; });
  EXPECT_EQ(recorder_.violations[id], "gives NIC wire back and keeps it open");
  EXPECT_EQ(recorder_.returned.count("wire"), 0u);
  EXPECT_TRUE(absl::IsFailedPrecondition(hypervisor_->GiveNic("wire", other, "")));
  Order(id, "close");
  UpTo([&] { return recorder_.returned["wire"] == id; });
  EXPECT_TRUE(hypervisor_->GiveNic("wire", other, "").ok());
}

// A message that it has not received may hold the NIC's descriptor once more.
TEST_F(ProcessHypervisorTest, TakesNoNicBackThatItsUserMayStillReceive) {
  const std::string space = MakeNamespace();
  ASSERT_TRUE(
      hypervisor_->OpenNic("wire", {.interface = "tap0", .network_namespace = "/run/netns/" + space}).ok());
  ASSERT_TRUE(
      hypervisor_->OpenNic("next", {.interface = "tap1", .network_namespace = "/run/netns/" + space}).ok());
  const DomainId id = CreateDomain();
  ASSERT_TRUE(hypervisor_->GiveNic("wire", id, "").ok());
  UpTo([&] { return Value(id, "data/nic") == "wire"; });
  Order(id, "return unread");
  ASSERT_TRUE(hypervisor_->GiveNic("next", id, "").ok());
  UpTo([&] { return Value(id, "data/waits") == "1"; });
  EXPECT_EQ(recorder_.returned.count("wire"), 0u);
  EXPECT_TRUE(recorder_.violations.empty()) << "it may be honest";
  UpTo([&] { return recorder_.returned["wire"] == id; });
}

TEST_F(ProcessHypervisorTest, ExplainsNicsThatCannotBeOpened) {
  const std::string space = MakeNamespace(), path = "/run/netns/" + space;
  EXPECT_TRUE(absl::IsInvalidArgument(
      hypervisor_->OpenNic("n", {.interface = "a/b", .network_namespace = path}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(
      hypervisor_->OpenNic("n", {.interface = "sixteen-letters-", .network_namespace = path}).status()));
  EXPECT_TRUE(absl::IsNotFound(
      hypervisor_->OpenNic("n", {.interface = "t", .network_namespace = "/run/netns/none"}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(
      hypervisor_->OpenNic("n", {.interface = "t", .network_namespace = "/etc/passwd"}).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(
      hypervisor_->OpenNic("n", {.interface = "lo", .network_namespace = path}).status()));
  EXPECT_TRUE(absl::IsNotFound(
      hypervisor_->OpenNic("n", {.interface = "t", .network_namespace = path, .bridge = "none"}).status()));
  EXPECT_TRUE(absl::IsNotFound(hypervisor_->CloseNic("n")));
}

TEST_F(ProcessHypervisorTest, LeavesAnInterfaceThatItDidNotMake) {
  const std::string space = MakeNamespace();
  ASSERT_EQ(system(("ip -n " + space + " tuntap add tap1 mode tap").c_str()), 0);
  auto info = hypervisor_->OpenNic("n", {.interface = "tap1", .network_namespace = "/run/netns/" + space});
  ASSERT_TRUE(info.ok()) << info.status();
  ASSERT_TRUE(hypervisor_->CloseNic("n").ok());
  EXPECT_EQ(system(("ip -n " + space + " link show tap1 >/dev/null").c_str()), 0);
}

}  // namespace
}  // namespace librettos::process

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc < 2) return 2;
  librettos::process::probe_path = std::filesystem::absolute(argv[1]);
  return RUN_ALL_TESTS();
}
