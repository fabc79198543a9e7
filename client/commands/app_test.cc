// Whole command lines against a scripted daemon.
#include "client/commands/app.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "client/commands/exit_code.h"
#include "client/error.h"
#include "client/testing/fake_daemon.h"
#include "google/protobuf/util/json_util.h"

namespace librettos::ctl {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class AppTest : public testing::Test {
 protected:
  int Ctl(std::vector<std::string> arguments) {
    std::vector<std::string> all = {"-s", daemon_.socket()};
    all.insert(all.end(), arguments.begin(), arguments.end());
    out_.str("");
    err_.str("");
    return ctl::Run(all, Io{out_, err_, false});
  }
  std::string out() const { return out_.str(); }
  std::string err() const { return err_.str(); }

  static v1::Guest Guest(v1::GuestStatus::State state) {
    v1::Guest guest;
    guest.set_name("guests/web");
    guest.mutable_spec()->set_server("servers/net");
    guest.mutable_spec()->add_addresses("10.1.0.5/24");
    guest.mutable_status()->set_state(state);
    guest.mutable_status()->set_mode(v1::SERVER);
    return guest;
  }
  static v1::NetworkServer Server(v1::NetworkServerStatus::State state, uint64_t failovers) {
    v1::NetworkServer server;
    server.set_name("servers/net");
    server.mutable_spec()->set_nic("nics/wire");
    server.mutable_status()->set_state(state);
    server.mutable_status()->set_failovers(failovers);
    server.mutable_status()->set_active_domain(7);
    server.mutable_status()->mutable_last_takeover()->set_nanos(1'500'000);
    return server;
  }
  static v1::Operation Operation(v1::Operation::State state) {
    v1::Operation operation;
    operation.set_name("operations/1");
    operation.set_kind(v1::Operation::SET_GUEST_MODE);
    operation.set_target("guests/web");
    operation.set_state(state);
    return operation;
  }

  FakeDaemon daemon_;
  std::ostringstream out_, err_;
};

TEST_F(AppTest, UsageErrorsExitWith2AndPrintNothing) {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {},
           {"frobnicate"},
           {"guest"},
           {"guest", "frobnicate"},
           {"guest", "describe"},
           {"guest", "describe", "a", "b"},
           {"guest", "list", "server"},
           {"guest", "list", "--frobnicate"},
           {"guest", "create", "web"},
           {"guest", "create", "web", "--server", "net", "--queue-pairs", "9"},
           {"guest", "create", "web", "--server", "net", "--restart", "sometimes"},
           {"guest", "set-mode", "web"},
           {"guest", "set-mode", "web", "sideways"},
           {"guest", "set-mode", "web", "direct", "--deadline", "5"},
           {"guest", "list", "--", "http"},
           {"nic", "create", "wire"},
           {"server", "create", "net"},
           {"channel", "list", "--watch"},
           {"-o", "yaml", "guest", "list"},
           {"-o", "1", "guest", "list"},
           {"--timeout", "0s", "guest", "list"},
           {"completion", "zsh"},
       }) {
    EXPECT_EQ(Ctl(arguments), kUsage) << testing::PrintToString(arguments);
    EXPECT_EQ(out(), "") << testing::PrintToString(arguments);
    EXPECT_THAT(err(), StartsWith("librettosctl: usage: "));
    EXPECT_THAT(err(), HasSubstr("\n  next: see librettosctl"));
  }
}

TEST_F(AppTest, HelpOfEveryLevel) {
  EXPECT_EQ(Ctl({"--help"}), kOk);
  EXPECT_THAT(out(), HasSubstr("Exit codes"));
  EXPECT_EQ(Ctl({"guest", "create", "--help"}), kOk);
  EXPECT_THAT(out(), HasSubstr("--queue-pairs"));
}

TEST_F(AppTest, NoDaemonIsExit5) {
  out_.str("");
  err_.str("");
  EXPECT_EQ(ctl::Run({"-s", "/nonexistent/d.sock", "guest", "list"}, Io{out_, err_, false}), kUnavailable);
  EXPECT_THAT(err(), StartsWith("librettosctl: list guests: no daemon listens on /nonexistent/d.sock: "));
  EXPECT_THAT(err(), HasSubstr("\n  next: "));
}

TEST_F(AppTest, VersionNeedsNoDaemon) {
  out_.str("");
  EXPECT_EQ(ctl::Run({"-s", "/nonexistent/d.sock", "version"}, Io{out_, err_, false}), kOk);
  EXPECT_THAT(out(), HasSubstr("librettos.v1"));
}

TEST_F(AppTest, EveryStatusHasItsExitCode) {
  for (int code = 1; code <= 16; ++code) {
    daemon_.FailNext("GetGuest", absl::Status(static_cast<absl::StatusCode>(code), "so it is"));
    EXPECT_EQ(Ctl({"guest", "describe", "web"}), ExitCodeFor(static_cast<absl::StatusCode>(code)));
    EXPECT_THAT(err(), StartsWith("librettosctl: describe guests/web: so it is\n"));
  }
}

TEST_F(AppTest, ListAsTable) {
  daemon_.Put(Guest(v1::GuestStatus::RUNNING));
  EXPECT_EQ(Ctl({"guest", "list"}), kOk);
  EXPECT_EQ(out(),
            "NAME        STATE    MODE    SERVER       ADDRESSES    NIC  RESTARTS\n"
            "guests/web  RUNNING  SERVER  servers/net  10.1.0.5/24  -           0\n");
}

TEST_F(AppTest, OptionsMayFollowTheCommand) {
  daemon_.Put(Guest(v1::GuestStatus::RUNNING));
  EXPECT_EQ(Ctl({"guest", "list", "-o", "name"}), kOk);
  EXPECT_EQ(out(), "guests/web\n");
}

TEST_F(AppTest, WideShowsMore) {
  daemon_.Put(Guest(v1::GuestStatus::RUNNING));
  EXPECT_EQ(Ctl({"-o", "wide", "guest", "list"}), kOk);
  EXPECT_THAT(out(), HasSubstr("QUEUE-PAIRS"));
}

TEST_F(AppTest, ListAsJsonIsTheApisAnswer) {
  daemon_.Put(Guest(v1::GuestStatus::RUNNING));
  EXPECT_EQ(Ctl({"guest", "list", "-o", "json"}), kOk);
  v1::ListGuestsResponse list;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(out(), &list).ok()) << out();
  ASSERT_EQ(list.guests_size(), 1);
  EXPECT_EQ(list.guests(0).spec().server(), "servers/net");
  EXPECT_THAT(out(), HasSubstr("\"modeChanges\": \"0\""));  // camelCase, zeros shown
}

TEST_F(AppTest, EmptyListsSaySoOnStderr) {
  for (const char* noun : {"guest", "server", "nic", "channel", "operation"}) {
    EXPECT_EQ(Ctl({noun, "list"}), kOk);
    EXPECT_EQ(out(), "");
    EXPECT_EQ(err(), std::string("No ") + noun + "s.\n");
  }
}

TEST_F(AppTest, DescribeWithShortAndFullName) {
  daemon_.Put(Guest(v1::GuestStatus::RUNNING));
  EXPECT_EQ(Ctl({"guest", "describe", "web"}), kOk);
  const std::string first = out();
  EXPECT_EQ(Ctl({"guest", "describe", "guests/web"}), kOk);
  EXPECT_EQ(out(), first);
  EXPECT_THAT(first, HasSubstr("Specification\n"));
  EXPECT_THAT(first, HasSubstr("RUNNING"));
}

TEST_F(AppTest, NotFound) {
  EXPECT_EQ(Ctl({"nic", "describe", "wire"}), kNotFound);
  EXPECT_EQ(err(),
            "librettosctl: describe nics/wire: nics/wire does not exist\n"
            "  next: see what there is: librettosctl nic list\n");
}

TEST_F(AppTest, CreateGuestSendsTheWholeSpecification) {
  daemon_.Then(Guest(v1::GuestStatus::RUNNING));
  EXPECT_EQ(Ctl({"guest",
                 "create",
                 "web",
                 "--server",
                 "net",
                 "--address",
                 "10.1.0.5/24",
                 "--address",
                 "fd00::5/64",
                 "--gateway4",
                 "10.1.0.1",
                 "--gateway6",
                 "fd00::1",
                 "--mac",
                 "02:00:00:00:00:05",
                 "--queue-pairs",
                 "2",
                 "--files",
                 "/srv",
                 "--restart",
                 "never",
                 "--image",
                 "/bin/g",
                 "--request-id",
                 "r1",
                 "--",
                 "http",
                 "--port",
                 "80",
                 "--"}),
            kOk)
      << err();
  EXPECT_EQ(
      daemon_.Request("CreateGuest"),
      "guest { name: \"guests/web\" spec { server: \"servers/net\" addresses: \"10.1.0.5/24\" addresses: "
      "\"fd00::5/64\" ipv4_gateway: \"10.1.0.1\" ipv6_gateway: \"fd00::1\" mac: \"02:00:00:00:00:05\" "
      "queue_pairs: 2 image: \"/bin/g\" arguments: \"http\" arguments: \"--port\" arguments: \"80\" "
      "arguments: "
      "\"--\" files: \"/srv\" restart: NEVER } } request_id: \"r1\"");
  EXPECT_THAT(out(), StartsWith("guests/web created: RUNNING after "));
}

TEST_F(AppTest, AnAddressDoesNotSwallowTheName) {
  EXPECT_EQ(Ctl({"guest", "create", "--no-wait", "--server", "net", "--address", "10.1.0.5/24", "web"}), kOk)
      << err();
  EXPECT_THAT(daemon_.Request("CreateGuest"), HasSubstr("name: \"guests/web\""));
}

TEST_F(AppTest, DefaultsAreLeftToTheDaemon) {
  EXPECT_EQ(Ctl({"guest", "create", "web", "--server", "net", "--no-wait"}), kOk);
  EXPECT_EQ(daemon_.Request("CreateGuest"),
            "guest { name: \"guests/web\" spec { server: \"servers/net\" } }");
  EXPECT_EQ(out(), "guests/web created\n");
  EXPECT_EQ(Ctl({"server", "create", "net", "--nic", "wire", "--no-wait"}), kOk);
  EXPECT_EQ(daemon_.Request("CreateNetworkServer"),
            "network_server { name: \"servers/net\" spec { nic: \"nics/wire\" } }");
}

TEST_F(AppTest, CreateThatDoesNotGetThereSaysWhy) {
  v1::Guest guest = Guest(v1::GuestStatus::DEGRADED);
  guest.mutable_status()->set_message("no such file");
  daemon_.Then(guest);
  EXPECT_EQ(Ctl({"guest", "create", "web", "--server", "net", "--timeout", "300ms"}), kTimeout);
  EXPECT_EQ(out(), "");
  EXPECT_THAT(err(), HasSubstr("not RUNNING after 300 ms: it is DEGRADED, no such file\n  next: "));
}

TEST_F(AppTest, CreateOfAGuestThatEndsAtOnceFails) {
  v1::Guest guest = Guest(v1::GuestStatus::STOPPED);
  guest.mutable_status()->set_last_exit("exit code 2");
  daemon_.Then(guest);
  EXPECT_EQ(Ctl({"guest", "create", "web", "--server", "net", "--restart", "never"}), kFailed);
  EXPECT_THAT(err(), HasSubstr("has ended already: exit code 2"));
}

TEST_F(AppTest, CreateServerSendsTheWholeSpecification) {
  daemon_.Then(Server(v1::NetworkServerStatus::ACTIVE, 0));
  EXPECT_EQ(Ctl({"server", "create", "servers/net", "--nic", "nics/wire", "--shared", "10.1.0.2/24",
                 "--shared", "fd00::2/64", "--image", "/bin/s", "--no-standby", "--hang-timeout", "500ms"}),
            kOk)
      << err();
  EXPECT_EQ(
      daemon_.Request("CreateNetworkServer"),
      "network_server { name: \"servers/net\" spec { nic: \"nics/wire\" shared_addresses: \"10.1.0.2/24\" "
      "shared_addresses: \"fd00::2/64\" image: \"/bin/s\" standby: false hang_timeout { nanos: 500000000 } } "
      "}");
}

TEST_F(AppTest, CreateNic) {
  EXPECT_EQ(Ctl({"nic", "create", "wire", "--tap", "tap0", "--netns", "/run/netns/wire", "--bridge", "br0"}),
            kOk);
  EXPECT_EQ(daemon_.Request("CreateNic"),
            "nic { name: \"nics/wire\" spec { tap { interface: \"tap0\" network_namespace: "
            "\"/run/netns/wire\" bridge: "
            "\"br0\" } } }");
  EXPECT_EQ(out(), "nics/wire created: FREE\n");
}

TEST_F(AppTest, ANicIsATapOrAPciFunction) {
  EXPECT_EQ(Ctl({"nic", "create", "fast", "--pci", "0000:03:00.0"}), kOk);
  EXPECT_EQ(daemon_.Request("CreateNic"),
            "nic { name: \"nics/fast\" spec { pci { address: \"0000:03:00.0\" } } }");
  EXPECT_EQ(Ctl({"nic", "create", "both", "--pci", "0000:03:00.0", "--tap", "tap0"}), kUsage);
  EXPECT_EQ(Ctl({"nic", "create", "odd", "--pci", "0000:03:00.0", "--bridge", "br0"}), kUsage);
}

TEST_F(AppTest, DeletePassesEtagAndRequestId) {
  daemon_.Put(Guest(v1::GuestStatus::RUNNING));
  EXPECT_EQ(Ctl({"guest", "delete", "web", "--etag", "e", "--request-id", "r"}), kOk);
  EXPECT_EQ(daemon_.Request("DeleteGuest"), "name: \"guests/web\" etag: \"e\" request_id: \"r\"");
  EXPECT_EQ(out(), "guests/web deleted\n");
  EXPECT_EQ(Ctl({"guest", "delete", "web"}), kNotFound);
}

TEST_F(AppTest, SetModeWaitsForTheOperation) {
  daemon_.SetOperation(Operation(v1::Operation::RUNNING));
  v1::Operation done = Operation(v1::Operation::SUCCEEDED);
  done.mutable_pause()->set_nanos(820'000);
  daemon_.Then(done);
  EXPECT_EQ(Ctl({"guest", "set-mode", "web", "direct", "--nic", "fast", "--deadline", "2s"}), kOk) << err();
  EXPECT_EQ(daemon_.Request("SetGuestMode"),
            "name: \"guests/web\" mode: DIRECT nic: \"nics/fast\" deadline { seconds: 2 }");
  EXPECT_EQ(out(), "guests/web is in mode DIRECT, frames held back for 0.82 ms\n");
}

TEST_F(AppTest, SetModeThatFailsSaysWhy) {
  v1::Operation failed = Operation(v1::Operation::FAILED);
  failed.set_message("the ring did not drain");
  daemon_.SetOperation(failed);
  EXPECT_EQ(Ctl({"guest", "set-mode", "web", "server"}), kFailed);
  EXPECT_THAT(
      err(),
      StartsWith("librettosctl: set-mode guests/web server: operations/1 failed: the ring did not drain\n"));
  EXPECT_EQ(out(), "");
}

TEST_F(AppTest, SetModeWithoutWaiting) {
  daemon_.SetOperation(Operation(v1::Operation::RUNNING));
  EXPECT_EQ(Ctl({"guest", "set-mode", "web", "server", "--no-wait", "-o", "name"}), kOk);
  EXPECT_EQ(out(), "operations/1\n");
  EXPECT_EQ(daemon_.Calls("WaitOperation"), 0);
}

TEST_F(AppTest, UpgradeServer) {
  daemon_.SetOperation(Operation(v1::Operation::SUCCEEDED));
  EXPECT_EQ(Ctl({"server", "upgrade", "net", "--image", "/new", "--health-timeout", "1s", "--etag", "e"}),
            kOk);
  EXPECT_EQ(daemon_.Request("UpgradeNetworkServer"),
            "name: \"servers/net\" image: \"/new\" health_timeout { seconds: 1 } etag: \"e\"");
  EXPECT_EQ(out(), "servers/net upgraded\n");
}

TEST_F(AppTest, FailServerWaitsForTheNextOne) {
  daemon_.Put(Server(v1::NetworkServerStatus::ACTIVE, 2));
  daemon_.Then(Server(v1::NetworkServerStatus::ACTIVE, 3));
  EXPECT_EQ(Ctl({"server", "fail", "net"}), kOk) << err();
  EXPECT_EQ(out(), "servers/net failed over to domain 7 in 1.50 ms\n");
}

TEST_F(AppTest, FailServerDoesNotTakeTheOldOneForTheNext) {
  daemon_.Put(Server(v1::NetworkServerStatus::ACTIVE, 2));
  EXPECT_EQ(Ctl({"server", "fail", "net", "--timeout", "300ms"}), kTimeout);
}

TEST_F(AppTest, OperationWait) {
  daemon_.Put(Operation(v1::Operation::SUCCEEDED));
  EXPECT_EQ(Ctl({"operation", "wait", "1"}), kOk);
  EXPECT_EQ(out(), "operations/1 succeeded\n");
}

TEST_F(AppTest, OperationWaitTimesOut) {
  daemon_.Put(Operation(v1::Operation::RUNNING));
  EXPECT_EQ(Ctl({"operation", "wait", "1", "--timeout", "1ms"}), kTimeout);
}

TEST_F(AppTest, WatchPrintsATableThenChanges) {
  daemon_.Put(Guest(v1::GuestStatus::STARTING));
  std::thread change([&] {
    daemon_.AwaitWatches(1);
    daemon_.Remove("guests/web");
  });
  EXPECT_EQ(Ctl({"guest", "list", "--watch", "--timeout", "1s"}), kOk) << err();
  change.join();
  EXPECT_EQ(out(),
            "NAME        STATE     MODE    SERVER       ADDRESSES    NIC  RESTARTS\n"
            "guests/web  STARTING  SERVER  servers/net  10.1.0.5/24  -           0\n"
            "guests/web  DELETED   -       -            -            -           -\n");
}

TEST_F(AppTest, WatchAsJsonIsOneLinePerChange) {
  daemon_.Put(Guest(v1::GuestStatus::RUNNING));
  EXPECT_EQ(Ctl({"guest", "list", "-w", "-o", "json", "--timeout", "1s"}), kOk);
  std::istringstream lines(out());
  std::string line;
  int count = 0;
  while (std::getline(lines, line)) {
    v1::WatchResponse change;
    EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(line, &change).ok()) << line;
    ++count;
  }
  EXPECT_EQ(count, 2);  // The guest, and that this is all.
}

TEST_F(AppTest, Stats) {
  v1::GetStatisticsResponse statistics;
  v1::ResourceStatistics* row = statistics.add_resources();
  row->set_name("guests/web");
  (*row->mutable_counters())["rx_frames"] = 3;
  (*row->mutable_counters())["rx_bytes"] = 2048;
  (*row->mutable_counters())["leases"] = 2;
  (*row->mutable_drops())["ring_full"] = 5;
  daemon_.SetStatistics(statistics);
  EXPECT_EQ(Ctl({"stats"}), kOk);
  EXPECT_EQ(out(),
            "NAME        PEER  RX-FRAMES  RX-BYTES  TX-FRAMES  TX-BYTES  DROPS\n"
            "guests/web  -             3   2.0 KiB          0       0 B      5\n");
  EXPECT_EQ(Ctl({"stats", "web"}), kOk);
  EXPECT_THAT(out(), HasSubstr("drop: ring_full      5\n"));
  EXPECT_EQ(Ctl({"stats", "nobody"}), kNotFound);
  EXPECT_EQ(Ctl({"stats", "--watch", "--interval", "1ms", "--count", "2"}), kOk);
  EXPECT_THAT(out(), HasSubstr("RX-FRAMES/S"));
  EXPECT_THAT(out(), HasSubstr("0 b/s"));
}

TEST_F(AppTest, StatsFindsAServerByItsShortName) {
  v1::GetStatisticsResponse statistics;
  statistics.add_resources()->set_name("servers/net");
  daemon_.SetStatistics(statistics);
  EXPECT_EQ(Ctl({"stats", "net", "-o", "name"}), kOk);
  EXPECT_EQ(out(), "servers/net\n");
}

TEST_F(AppTest, ChannelsOfAGuest) {
  v1::Channel channel;
  channel.set_name("guests/web/channels/3");
  channel.set_role(v1::Channel::ROLE_ACTIVE);
  channel.set_state(v1::Channel::CLOSED);
  channel.set_error("bad-slot");
  daemon_.Put(channel);
  EXPECT_EQ(Ctl({"channel", "list", "--guest", "web"}), kOk);
  EXPECT_THAT(out(), HasSubstr("bad-slot"));
  EXPECT_EQ(Ctl({"channel", "describe", "guests/web/channels/3"}), kOk);
  EXPECT_EQ(Ctl({"channel", "list", "--guest", "other"}), kOk);
  EXPECT_EQ(out(), "");
}

TEST_F(AppTest, CompletionKnowsEveryCommand) {
  EXPECT_EQ(Ctl({"completion", "bash"}), kOk);
  for (const char* text :
       {"'guest set-mode'", "--hang-timeout", "--netns", "'operation wait'", "complete -o default"}) {
    EXPECT_THAT(out(), HasSubstr(text));
  }
}

}  // namespace
}  // namespace librettos::ctl
