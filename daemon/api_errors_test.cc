// Every method of every service, over gRPC, with everything wrong that its request can have: the right status
// and reason, and nothing changed.
//
// Methods and fields are found by their descriptors. A method needs a request that works (kWorking), from
// which the wrong ones are made field by field; a field needs values that cannot work (WrongValues). One
// without fails the test.
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "daemon/errors.h"
#include "daemon/testing/served_daemon.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/dynamic_message.h"
#include "google/protobuf/text_format.h"

namespace librettos::daemon {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::MethodDescriptor;
using google::protobuf::TextFormat;
using Reason = v1::ErrorInfo;

// A request of each method that succeeds on the daemon of MakeDaemon.
const std::map<std::string, std::string> kWorking = {
    {"CreateNetworkServer", R"(network_server { name: "servers/new" spec { nic: "nics/spare" } })"},
    {"GetNetworkServer", R"(name: "servers/s")"},
    {"ListNetworkServers", ""},
    {"DeleteNetworkServer", R"(name: "servers/idle")"},
    {"UpgradeNetworkServer", R"(name: "servers/s")"},
    {"FailNetworkServer", R"(name: "servers/s")"},
    {"CreateGuest",
     R"(guest { name: "guests/new" spec { server: "servers/s" addresses: "10.1.0.50/24" arguments: "echo" } })"},
    {"GetGuest", R"(name: "guests/web")"},
    {"ListGuests", ""},
    {"DeleteGuest", R"(name: "guests/web")"},
    {"SetGuestMode", R"(name: "guests/web" mode: DIRECT nic: "nics/spare")"},
    {"CreateNic", R"(nic { name: "nics/new" spec { tap { interface: "tap-new" } } })"},
    {"GetNic", R"(name: "nics/wire")"},
    {"ListNics", ""},
    {"DeleteNic", R"(name: "nics/spare")"},
    {"GetOperation", R"(name: "operations/op1")"},
    {"ListOperations", ""},
    {"WaitOperation", R"(name: "operations/op1" timeout {})"},
    {"GetChannel", R"(name: "guests/web/channels/1")"},
    {"ListChannels", R"(parent: "guests/web")"},
    {"GetStatistics", R"(name: "guests/web")"},
    {"Watch", R"(collections: "guests")"},
};

// What can be wrong beyond a single field.
struct Case {
  const char* method;
  const char* request;
  Reason::Reason reason;
};
const Case kCases[] = {
    // Names that are taken, resources that are in use.
    {"CreateGuest", R"(guest { name: "guests/web" spec { server: "servers/s" addresses: "10.1.0.50/24" } })",
     Reason::NAME_TAKEN},
    {"CreateNetworkServer", R"(network_server { name: "servers/s" spec { nic: "nics/spare" } })",
     Reason::NAME_TAKEN},
    {"CreateNic", R"(nic { name: "nics/wire" spec { tap { interface: "tap-new" } } })", Reason::NAME_TAKEN},
    {"DeleteNetworkServer", R"(name: "servers/s")", Reason::IN_USE},
    {"DeleteNic", R"(name: "nics/wire")", Reason::IN_USE},
    // NICs that are taken or gone.
    {"CreateNetworkServer", R"(network_server { name: "servers/new" spec { nic: "nics/wire" } })",
     Reason::NIC_TAKEN},
    {"SetGuestMode", R"(name: "guests/web" mode: DIRECT nic: "nics/wire")", Reason::NIC_TAKEN},
    {"SetGuestMode", R"(name: "guests/web" mode: DIRECT nic: "nics/gone")", Reason::NIC_UNAVAILABLE},
    {"CreateNic", R"(nic { name: "nics/new" spec { tap { interface: "tap-broken" } } })",
     Reason::NIC_UNAVAILABLE},
    {"CreateNic", R"(nic { name: "nics/new" spec { tap { interface: "tap-wire" } } })", Reason::NIC_TAKEN},
    {"CreateNic", R"(nic { name: "nics/new" })", Reason::MISSING_FIELD},
    // Modes.
    {"SetGuestMode", R"(name: "guests/sharer" mode: DIRECT)", Reason::SHARED_ADDRESS},
    {"SetGuestMode", R"(name: "guests/web" mode: SERVER nic: "nics/spare")", Reason::INVALID_FIELD},
    {"SetGuestMode", R"(name: "guests/web")", Reason::MISSING_FIELD},
    {"UpgradeNetworkServer", R"(name: "servers/idle")", Reason::WRONG_STATE},
    // Addresses that overlap, or do not fit together.
    {"CreateGuest",
     R"(guest { name: "guests/new" spec { server: "servers/s" arguments: "echo" addresses: ["10.1.0.50/24", "10.1.0.50/16"] } })",
     Reason::INVALID_FIELD},
    {"CreateGuest",
     R"(guest { name: "guests/new" spec { server: "servers/s" arguments: "echo" addresses: "10.1.0.2/24" } })",
     Reason::ADDRESS_TAKEN},
    {"CreateGuest", R"(guest { name: "guests/new" spec { server: "servers/idle" arguments: "echo" } })",
     Reason::MISSING_FIELD},
    {"CreateGuest",
     R"(guest { name: "guests/new" spec { server: "servers/s" arguments: "echo" mac: "02:00:00:00:00:01" } })",
     Reason::INVALID_FIELD},
};

// Fields of requests in which every value is fine.
const std::set<std::string> kFree = {"arguments", "standby"};
// Those that the daemon fills in; a request's are ignored.
const std::set<std::string> kOutput = {"status", "etag", "create_time"};

using Wrong = std::pair<std::string, Reason::Reason>;  // Text of the value; what is expected.

std::vector<Wrong> WrongNames(const std::string& collection, bool also_unknown) {
  std::vector<Wrong> wrong = {
      {R"("Web")", Reason::MALFORMED_NAME},
      {absl::StrCat("\"", collection, "/\""), Reason::MALFORMED_NAME},
      {absl::StrCat("\"", collection, "/a_b\""), Reason::MALFORMED_NAME},
      {absl::StrCat("\"", collection, "/a\\000b\""), Reason::MALFORMED_NAME},
      {absl::StrCat("\"", collection, "/", std::string(64, 'a'), "\""), Reason::MALFORMED_NAME},
      {R"("things/a")", Reason::MALFORMED_NAME},
  };
  if (also_unknown) wrong.emplace_back(absl::StrCat("\"", collection, "/nosuch\""), Reason::NO_SUCH_RESOURCE);
  return wrong;
}

std::vector<Wrong> Invalid(const std::vector<std::string>& values) {
  std::vector<Wrong> wrong;
  for (const std::string& value : values) wrong.emplace_back(value, Reason::INVALID_FIELD);
  return wrong;
}

// Empty: there is no rule for the field.
std::vector<Wrong> WrongValues(const std::string& method, const std::string& path,
                               const FieldDescriptor& field) {
  const std::string& name = field.name();
  if (field.message_type() != nullptr && field.message_type()->full_name() == "google.protobuf.Duration") {
    return Invalid({"{ seconds: -1 }", "{ seconds: 1000000 }", "{ nanos: -1 }", "{ nanos: 2000000000 }",
                    "{ seconds: 9223372036854775807 }"});
  }
  if (field.message_type() != nullptr) return {};  // Its fields are looked at one by one.
  if (method == "GetChannel") {
    return {{R"("guests/web")", Reason::MALFORMED_NAME},
            {R"("guests/web/channels/x")", Reason::MALFORMED_NAME},
            {R"("guests/Web/channels/1")", Reason::MALFORMED_NAME},
            {R"("")", Reason::MISSING_FIELD},
            {R"("guests/web/channels/999")", Reason::NO_SUCH_RESOURCE},
            {R"("guests/nosuch/channels/1")", Reason::NO_SUCH_RESOURCE}};
  }
  if (name == "name") {
    if (method == "GetStatistics") return WrongNames("guests", true);
    static const std::map<std::string, std::string> kCollections = {{"NetworkServer", "servers"},
                                                                    {"Guest", "guests"},
                                                                    {"GuestMode", "guests"},
                                                                    {"Nic", "nics"},
                                                                    {"Operation", "operations"}};
    for (const auto& [noun, collection] : kCollections) {
      if (!absl::EndsWith(method, noun) || (noun == "Guest" && absl::StrContains(method, "Mode"))) continue;
      std::vector<Wrong> wrong = WrongNames(collection, path == "name");
      wrong.emplace_back(R"("")", Reason::MISSING_FIELD);
      return wrong;
    }
    return {};
  }
  if (name == "server") return WrongNames("servers", true);
  if (name == "nic" || name == "standby_nic") return WrongNames("nics", true);
  if (name == "parent") return WrongNames("guests", true);
  if (name == "etag") return {{R"("stale")", Reason::STALE_ETAG}};
  if (name == "request_id") {
    std::vector<Wrong> wrong = Invalid(
        {R"("two words")", R"("\n")", R"("\303\244")", absl::StrCat("\"", std::string(65, 'x'), "\"")});
    wrong.emplace_back(R"("used")", Reason::REQUEST_ID_REUSED);
    return wrong;
  }
  if (name == "page_size") return Invalid({"-1", "-2147483648"});
  if (name == "page_token") return Invalid({R"("garbage")", absl::StrCat("\"", std::string(300, 'x'), "\"")});
  if (name == "collections") return Invalid({R"("things")", R"("guests/web")", R"("")"});
  if (name == "mode" || name == "restart") return Invalid({"99"});
  if (name == "addresses" || name == "shared_addresses") {
    std::vector<Wrong> wrong =
        Invalid({R"("10.1.0.300/24")", R"("10.1.0.50/33")", R"("10.1.0.50")", R"("fd00::1/129")",
                 R"("::1/128")", R"("224.0.0.1/24")", R"("0.0.0.0/0")", R"("x")", R"("")"});
    wrong.emplace_back(R"("10.1.0.5/24")", Reason::ADDRESS_TAKEN);
    return wrong;
  }
  if (name == "ipv4_gateway")
    return Invalid({R"("10.99.0.1")", R"("10.1.0.50")", R"("fd00::1")", R"("10.1.0.1/24")", R"("x")"});
  if (name == "ipv6_gateway") return Invalid({R"("fd99::1")", R"("10.1.0.1")", R"("x")"});
  if (name == "mac") {
    std::vector<Wrong> wrong =
        Invalid({R"("01:00:00:00:00:01")", R"("ff:ff:ff:ff:ff:ff")", R"("02:00")", R"("x")"});
    wrong.emplace_back(R"("02:00:00:00:77:01")", Reason::ADDRESS_TAKEN);
    return wrong;
  }
  if (name == "queue_pairs") return Invalid({"9", "4294967295"});
  // For Xen, which this daemon does not run on.
  if (name == "memory_mib" || name == "vcpus") return Invalid({"1", "64", "4294967295"});
  if (name == "address") return Invalid({R"("0000:03:00.0")", R"("x")", R"("")"});
  if (name == "image")
    return Invalid({R"("relative")", R"("/nonexistent")", R"("/etc/passwd")", R"("/tmp")"});
  if (name == "files") return Invalid({R"("relative")", R"("/nonexistent")", R"("/etc/passwd")"});
  if (name == "interface") return Invalid({R"("sixteen-letters-")", R"("a/b")", R"("a b")", R"(".")"});
  if (name == "network_namespace") return Invalid({R"("relative")"});
  if (name == "bridge") return Invalid({R"("sixteen-letters-")", R"("a/b")"});
  return {};
}

grpc::StatusCode CodeOf(Reason::Reason reason) {
  switch (reason) {
    case Reason::MALFORMED_NAME:
    case Reason::INVALID_FIELD:
    case Reason::MISSING_FIELD:
      return grpc::StatusCode::INVALID_ARGUMENT;
    case Reason::NAME_TAKEN:
    case Reason::REQUEST_ID_REUSED:
      return grpc::StatusCode::ALREADY_EXISTS;
    case Reason::NO_SUCH_RESOURCE:
      return grpc::StatusCode::NOT_FOUND;
    case Reason::STALE_ETAG:
      return grpc::StatusCode::ABORTED;
    default:
      return grpc::StatusCode::FAILED_PRECONDITION;
  }
}

std::vector<const MethodDescriptor*> AllMethods() {
  std::vector<const MethodDescriptor*> methods;
  for (const std::string& name : ServiceNames()) {
    const auto* service = google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(name);
    for (int i = 0; i < service->method_count(); ++i) methods.push_back(service->method(i));
  }
  return methods;
}

std::unique_ptr<Message> Request(const MethodDescriptor& method, const std::string& text) {
  std::unique_ptr<Message> request(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(method.input_type())->New());
  EXPECT_TRUE(TextFormat::ParseFromString(text, request.get())) << method.name() << ": " << text;
  return request;
}

class ApiErrorsTest : public ::testing::Test {
 protected:
  struct Answer {
    grpc::Status status;
    std::string response;
  };

  // servers/s on nics/wire forwards for guests/web and guests/sharer and has a standby; servers/idle on
  // nics/idle is not active; nics/spare is free, nics/gone cannot be opened; operations/op1 runs.
  static std::unique_ptr<ServedDaemon> MakeDaemon() {
    auto daemon = std::make_unique<ServedDaemon>();
    daemon->loop_->Run([&] {
      hypervisor::FakeHypervisor& hv = daemon->hv_;
      Api& api = *daemon->api_;
      Do(api, &Api::CreateNic, R"(nic { name: "nics/wire" spec { tap { interface: "tap-wire" } } })");
      Do(api, &Api::CreateNic,
         R"(nic { name: "nics/spare" spec { tap { interface: "tap-spare" } } } request_id: "used")");
      Do(api, &Api::CreateNic, R"(nic { name: "nics/idle" spec { tap { interface: "tap-idle" } } })");
      Do(api, &Api::CreateNic, R"(nic { name: "nics/gone" spec { tap { interface: "tap-gone" } } })");
      hv.broken_interfaces = {"tap-gone", "tap-broken"};
      hv.open_nics.erase("gone");
      EXPECT_TRUE(daemon->controller_->nics.Close("nics/gone").ok());
      Do(api, &Api::CreateNetworkServer,
         R"(network_server { name: "servers/s" spec { nic: "nics/wire" shared_addresses: "10.1.0.2/24" } })");
      const uint32_t active = hv.Named("servers/s");
      EXPECT_EQ(active, 1u) << "the channel in kWorking is named after it";
      hv.Connect(active);
      hv.Publish(active, "data/ready", "2");
      hv.Publish(active, "data/role", hv.Key(absl::StrCat("/local/domain/", active, "/control/role")));
      const uint32_t standby = hv.Named("servers/s");
      hv.Connect(standby);
      hv.Publish(standby, "data/ready", "2");
      Do(api, &Api::CreateNetworkServer,
         R"(network_server { name: "servers/idle" spec { nic: "nics/idle" standby: false } })");
      Do(api, &Api::CreateGuest,
         R"(guest { name: "guests/web" spec { server: "servers/s" addresses: "10.1.0.5/24" mac: "02:00:00:00:77:01" arguments: "echo" } })");
      Do(api, &Api::CreateGuest,
         R"(guest { name: "guests/sharer" spec { server: "servers/s" arguments: "echo" } })");
      for (const char* guest : {"guests/web", "guests/sharer"}) {
        hv.Connect(hv.Named(guest));
        hv.Publish(active, absl::StrCat("backend/vif/", hv.Named(guest), "/0/state"), "4");
      }
      EXPECT_EQ(daemon->controller_->operations.Begin(v1::Operation::SET_GUEST_MODE, "guests/web", "x"),
                "operations/op1");
      Bury(*daemon);
    });
    return daemon;
  }

  // Domains die soon after they were destroyed.
  static void Bury(ServedDaemon& daemon) {
    daemon.hv_.DieAll();
    daemon.loop_->After(absl::Milliseconds(5), [&daemon] { Bury(daemon); });
  }

  template <class Request, class Response>
  static void Do(Api& api, absl::Status (Api::*method)(const Request&, Response*), const std::string& text) {
    Request request;
    Response response;
    ASSERT_TRUE(TextFormat::ParseFromString(text, &request)) << text;
    const absl::Status status = (api.*method)(request, &response);
    ASSERT_TRUE(status.ok()) << text << ": " << status;
  }

  static Answer Call(ServedDaemon& daemon, const MethodDescriptor& method, const std::string& request) {
    RawCall call(daemon.channel_, absl::StrCat("/", method.service()->full_name(), "/", method.name()),
                 request);
    Answer answer;
    answer.response = call.Read().value_or("");
    if (method.server_streaming() && !answer.response.empty()) call.Cancel();
    answer.status = call.Finish();
    return answer;
  }

  // All that could change, with etags.
  static std::string Everything(ServedDaemon& daemon) {
    std::string all;
    daemon.loop_->Run([&] {
      for (const std::string& name : daemon.api_->NamesIn({})) {
        absl::StrAppend(&all, daemon.api_->Describe(name).DebugString());
      }
      absl::StrAppend(&all, "created ", daemon.hv_.creations, " NICs ", daemon.hv_.open_nics.size(),
                      " answers ", daemon.controller_->model.requests.size());
    });
    return all;
  }

  void Refuse(const MethodDescriptor& method, const std::string& request, Reason::Reason reason,
              const std::string& what) {
    const Answer answer = Call(*daemon_, method, request);
    EXPECT_EQ(answer.status.error_code(), CodeOf(reason)) << what << ": " << answer.status.error_message();
    v1::ErrorInfo info;
    EXPECT_TRUE(info.ParseFromString(answer.status.error_details())) << what;
    EXPECT_EQ(Reason::Reason_Name(info.reason()), Reason::Reason_Name(reason))
        << what << ": " << answer.status.error_message();
    EXPECT_FALSE(info.next_step().empty()) << what << ": does not say what to do";
    EXPECT_EQ(Everything(*daemon_), before_) << what << " changed something";
  }

  // Each field of `message`, which lies at `path` in `request` ("guest.spec."), with each of its wrong
  // values.
  void RefuseEachField(const MethodDescriptor& method, const std::string& path, const Descriptor& message) {
    for (int i = 0; i < message.field_count(); ++i) {
      const FieldDescriptor& field = *message.field(i);
      const std::string here = absl::StrCat(path, field.name());
      if (kFree.contains(field.name()) || (!path.empty() && kOutput.contains(field.name()))) continue;
      const std::vector<Wrong> wrong = WrongValues(method.name(), here, field);
      if (wrong.empty() && field.message_type() != nullptr) {
        RefuseEachField(method, here + ".", *field.message_type());
        continue;
      }
      EXPECT_FALSE(wrong.empty()) << method.name() << ": field " << here << " has no wrong values here";
      for (const auto& [value, reason] : wrong) {
        const std::unique_ptr<Message> request = Request(method, kWorking.at(method.name()));
        Set(request.get(), here, value);
        Refuse(method, request->SerializeAsString(), reason,
               absl::StrCat(method.name(), " ", here, ": ", value));
      }
    }
  }

  // Sets the field at `path` to what `text` says, whatever it was.
  static void Set(Message* message, const std::string& path, const std::string& text) {
    const std::vector<std::string> steps = absl::StrSplit(path, '.');
    for (size_t i = 0; i + 1 < steps.size(); ++i) {
      message = message->GetReflection()->MutableMessage(message,
                                                         message->GetDescriptor()->FindFieldByName(steps[i]));
    }
    message->GetReflection()->ClearField(message, message->GetDescriptor()->FindFieldByName(steps.back()));
    TextFormat::Parser parser;
    ASSERT_TRUE(parser.MergeFromString(absl::StrCat(steps.back(), ": ", text), message))
        << path << ": " << text;
  }

  std::unique_ptr<ServedDaemon> daemon_ = MakeDaemon();
  const std::string before_ = Everything(*daemon_);
};

TEST_F(ApiErrorsTest, EachMethodHasAWorkingRequest) {
  for (const MethodDescriptor* method : AllMethods()) {
    ASSERT_TRUE(kWorking.contains(method->name())) << method->full_name();
    auto daemon = MakeDaemon();
    const std::unique_ptr<Message> request = Request(*method, kWorking.at(method->name()));
    const Answer answer = Call(*daemon, *method, request->SerializeAsString());
    if (method->server_streaming()) {
      EXPECT_FALSE(answer.response.empty()) << method->name();
    } else {
      EXPECT_TRUE(answer.status.ok()) << method->name() << ": " << answer.status.error_message();
    }
  }
}

TEST_F(ApiErrorsTest, EachFieldOfEachMethod) {
  for (const MethodDescriptor* method : AllMethods()) {
    ASSERT_TRUE(kWorking.contains(method->name())) << method->full_name();
    RefuseEachField(*method, "", *method->input_type());
  }
}

TEST_F(ApiErrorsTest, WhatDoesNotFitTogether) {
  for (const Case& wrong : kCases) {
    for (const MethodDescriptor* method : AllMethods()) {
      if (method->name() != wrong.method) continue;
      Refuse(*method, Request(*method, wrong.request)->SerializeAsString(), wrong.reason,
             absl::StrCat(wrong.method, " ", wrong.request));
    }
  }
}

TEST_F(ApiErrorsTest, MessagesThatAreTooLargeOrNoMessages) {
  for (const MethodDescriptor* method : AllMethods()) {
    const std::string large(kMaxMessageBytes + 1, '\0');
    EXPECT_EQ(Call(*daemon_, *method, large).status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED)
        << method->name();
    EXPECT_EQ(Call(*daemon_, *method, "\xff").status.error_code(), grpc::StatusCode::INTERNAL)
        << method->name();
  }
  EXPECT_EQ(Everything(*daemon_), before_);
}

TEST_F(ApiErrorsTest, ARepeatedRequestGetsTheFirstAnswer) {
  for (const MethodDescriptor* method : AllMethods()) {
    if (method->input_type()->FindFieldByName("request_id") == nullptr) continue;
    auto daemon = MakeDaemon();
    const std::unique_ptr<Message> request = Request(*method, kWorking.at(method->name()));
    Set(request.get(), "request_id", R"("again")");
    const Answer first = Call(*daemon, *method, request->SerializeAsString());
    EXPECT_TRUE(first.status.ok()) << method->name() << ": " << first.status.error_message();
    int creations = 0;
    daemon->loop_->Run([&] { creations = daemon->hv_.creations; });
    const Answer second = Call(*daemon, *method, request->SerializeAsString());
    EXPECT_TRUE(second.status.ok()) << method->name() << ": " << second.status.error_message();
    EXPECT_EQ(second.response, first.response) << method->name();
    daemon->loop_->Run(
        [&] { EXPECT_EQ(daemon->hv_.creations, creations) << method->name() << " acted twice"; });
  }
}

TEST_F(ApiErrorsTest, AMethodThatIsNotThere) {
  RawCall call(daemon_->channel_, "/librettos.v1.Guests/FormatGuest", "");
  call.Read();
  EXPECT_EQ(call.Finish().error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

}  // namespace
}  // namespace librettos::daemon
