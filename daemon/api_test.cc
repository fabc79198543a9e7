// Every error of the API: right code, right reason, and nothing changed. Idempotency, etags, paging.
#include <fstream>

#include "daemon/testing/fixture.h"

namespace librettos::daemon {
namespace {

class ApiTest : public DaemonTest {
 protected:
  // All there is, as text. Etags and times are in it, so that any change shows.
  std::string Everything() {
    std::string all;
    for (const std::string& name : api_->NamesIn({})) all += api_->Describe(name).DebugString();
    absl::StrAppend(&all, "domains ", hv_.domains.size(), " nics ", hv_.open_nics.size());
    return all;
  }
  void Expect(const absl::Status& status, absl::StatusCode code, v1::ErrorInfo::Reason reason) {
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_EQ(ReasonOf(status), reason) << status;
    ASSERT_TRUE(ErrorInfoOf(status).has_value());
    EXPECT_FALSE(ErrorInfoOf(status)->next_step().empty()) << "says what to do";
  }
  void Invalid(const absl::Status& status, const std::string& field) {
    Expect(status, absl::StatusCode::kInvalidArgument, v1::ErrorInfo::INVALID_FIELD);
    if (auto info = ErrorInfoOf(status)) {
      EXPECT_EQ(info->field(), field);
    }
  }
  absl::Status Create(const v1::CreateGuestRequest& request) {
    v1::Guest response;
    return api_->CreateGuest(request, &response);
  }
  absl::Status Create(const v1::CreateNetworkServerRequest& request) {
    v1::NetworkServer response;
    return api_->CreateNetworkServer(request, &response);
  }
  absl::Status Create(const v1::CreateNicRequest& request) {
    v1::Nic response;
    return api_->CreateNic(request, &response);
  }
  static v1::CreateNicRequest NicRequest(const std::string& id, const std::string& interface) {
    v1::CreateNicRequest request;
    request.mutable_nic()->set_name("nics/" + id);
    request.mutable_nic()->mutable_spec()->mutable_tap()->set_interface(interface);
    return request;
  }
  absl::Status SetMode(const std::string& guest, v1::Mode mode, const std::string& nic = "",
                       const std::string& etag = "") {
    v1::SetGuestModeRequest request;
    request.set_name(guest);
    request.set_mode(mode);
    request.set_nic(nic);
    request.set_etag(etag);
    v1::Operation operation;
    return api_->SetGuestMode(request, &operation);
  }
};

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kPrecondition = absl::StatusCode::kFailedPrecondition;

TEST_F(ApiTest, MalformedNamesAreRefusedByEveryMethod) {
  CreateServer();
  std::string before = Everything();
  const std::string bad[] = {"x",
                             "guests/",
                             "guests/A",
                             "guests/a-",
                             "guests/1a",
                             "guests/a/b",
                             "guests/a b",
                             "guests/" + std::string(64, 'a'),
                             std::string("guests/a\0b", 10),
                             "servers/a"};
  for (const std::string& name : bad) {
    v1::CreateGuestRequest create = GuestRequest("x", "10.1.0.5/24");
    create.mutable_guest()->set_name(name);
    Expect(Create(create), kInvalid, v1::ErrorInfo::MALFORMED_NAME);
    v1::GetGuestRequest get;
    get.set_name(name);
    v1::Guest guest;
    Expect(api_->GetGuest(get, &guest), kInvalid, v1::ErrorInfo::MALFORMED_NAME);
    v1::DeleteGuestRequest del;
    del.set_name(name);
    v1::DeleteGuestResponse deleted;
    Expect(api_->DeleteGuest(del, &deleted), kInvalid, v1::ErrorInfo::MALFORMED_NAME);
    Expect(SetMode(name, v1::DIRECT), kInvalid, v1::ErrorInfo::MALFORMED_NAME);
    v1::GetOperationRequest op;
    op.set_name(name);
    v1::Operation operation;
    Expect(api_->GetOperation(op, &operation), kInvalid, v1::ErrorInfo::MALFORMED_NAME);
    v1::GetChannelRequest channel;
    channel.set_name(name);
    v1::Channel c;
    Expect(api_->GetChannel(channel, &c), kInvalid, v1::ErrorInfo::MALFORMED_NAME);
  }
  Expect(Create(v1::CreateGuestRequest()), kInvalid, v1::ErrorInfo::MISSING_FIELD);
  Expect(Create(v1::CreateNetworkServerRequest()), kInvalid, v1::ErrorInfo::MISSING_FIELD);
  Expect(Create(v1::CreateNicRequest()), kInvalid, v1::ErrorInfo::MISSING_FIELD);
  EXPECT_EQ(Everything(), before);
}

TEST_F(ApiTest, UnknownResourcesAreNotFound) {
  CreateServer();
  std::string before = Everything();
  constexpr auto kCode = absl::StatusCode::kNotFound;
  constexpr auto kReason = v1::ErrorInfo::NO_SUCH_RESOURCE;
  v1::GetNicRequest nic;
  nic.set_name("nics/no");
  v1::Nic n;
  Expect(api_->GetNic(nic, &n), kCode, kReason);
  v1::DeleteNetworkServerRequest server;
  server.set_name("servers/no");
  v1::DeleteNetworkServerResponse s;
  Expect(api_->DeleteNetworkServer(server, &s), kCode, kReason);
  v1::UpgradeNetworkServerRequest upgrade;
  upgrade.set_name("servers/no");
  v1::Operation o;
  Expect(api_->UpgradeNetworkServer(upgrade, &o), kCode, kReason);
  v1::FailNetworkServerRequest fail;
  fail.set_name("servers/no");
  v1::NetworkServer ns;
  Expect(api_->FailNetworkServer(fail, &ns), kCode, kReason);
  Expect(SetMode("guests/no", v1::DIRECT), kCode, kReason);
  Expect(Create(ServerRequest("t", "no")), kCode, kReason);
  v1::CreateGuestRequest guest = GuestRequest("g", "10.1.0.5/24");
  guest.mutable_guest()->mutable_spec()->set_server("servers/no");
  Expect(Create(guest), kCode, kReason);
  v1::GetOperationRequest op;
  op.set_name("operations/op01");
  Expect(api_->GetOperation(op, &o), kCode, kReason);
  v1::ListChannelsRequest channels;
  channels.set_parent("guests/no");
  v1::ListChannelsResponse c;
  Expect(api_->ListChannels(channels, &c), kCode, kReason);
  v1::GetStatisticsRequest statistics;
  statistics.set_name("guests/no");
  v1::GetStatisticsResponse st;
  Expect(api_->GetStatistics(statistics, &st), kCode, kReason);
  EXPECT_EQ(Everything(), before);
}

TEST_F(ApiTest, GuestFields) {
  CreateServer();
  CreateGuest("g", "10.1.0.5/24");
  std::string before = Everything();
  auto guest = [](const std::function<void(v1::GuestSpec*)>& change) {
    v1::CreateGuestRequest request = GuestRequest("h", "10.1.0.6/24");
    change(request.mutable_guest()->mutable_spec());
    return request;
  };
  for (const char* address :
       {"10.1.0.6", "10.1.0.6/", "10.1.0.6/33", "10.1.0.6/0", "10.1.0.6/+8", "10.1.0.0/24", "10.1.0.255/24",
        "127.0.0.1/8", "224.0.0.1/24", "0.0.0.0/8", "::/64", "::1/128", "ff02::1/64", "::ffff:10.1.0.6/128",
        "fd00::5/129", "x/24", ""}) {
    Invalid(Create(guest([&](v1::GuestSpec* s) { s->set_addresses(0, address); })),
            "guest.spec.addresses[0]");
  }
  Invalid(Create(guest([](v1::GuestSpec* s) { s->add_addresses("10.1.0.6/16"); })),
          "guest.spec.addresses[1]");
  Invalid(Create(guest([](v1::GuestSpec* s) { s->add_addresses("10.1.0.7/24"); })), "guest.spec.addresses");
  Invalid(Create(guest([](v1::GuestSpec* s) {
            for (int i = 1; i < 6; ++i) s->add_addresses(absl::StrCat("fd00::", i, "/64"));
          })),
          "guest.spec.addresses");
  for (const char* gateway : {"10.2.0.1", "10.1.0.6", "fd00::1", "10.1.0.1/24", "x"}) {
    Invalid(Create(guest([&](v1::GuestSpec* s) { s->set_ipv4_gateway(gateway); })),
            "guest.spec.ipv4_gateway");
  }
  for (const char* mac : {"02:00:00:00:00", "02-00-00-00-00-01", "01:00:00:00:00:01", "00:00:00:00:00:00",
                          "02:00:00:00:00:0g", "+2:00:00:00:00:01"}) {
    Invalid(Create(guest([&](v1::GuestSpec* s) { s->set_mac(mac); })), "guest.spec.mac");
  }
  Invalid(Create(guest([](v1::GuestSpec* s) { s->set_queue_pairs(9); })), "guest.spec.queue_pairs");
  Invalid(Create(guest([](v1::GuestSpec* s) { s->set_image("bin/true"); })), "guest.spec.image");
  Invalid(Create(guest([](v1::GuestSpec* s) { s->set_image("/etc/passwd"); })), "guest.spec.image");
  Invalid(Create(guest([](v1::GuestSpec* s) { s->set_files("/etc/passwd"); })), "guest.spec.files");
  Invalid(Create(guest([](v1::GuestSpec* s) { s->add_arguments(std::string(5000, 'x')); })),
          "guest.spec.arguments");
  Invalid(
      Create(guest([](v1::GuestSpec* s) { s->set_restart(static_cast<v1::GuestSpec::RestartPolicy>(7)); })),
      "guest.spec.restart");
  Invalid(Create(guest([](v1::GuestSpec* s) {
            s->clear_addresses();
            s->set_mac("02:00:00:00:00:09");
          })),
          "guest.spec.mac");
  Expect(Create(guest([](v1::GuestSpec* s) { s->clear_arguments(); })), kInvalid,
         v1::ErrorInfo::MISSING_FIELD);
  Expect(Create(guest([](v1::GuestSpec* s) { s->clear_server(); })), kInvalid, v1::ErrorInfo::MISSING_FIELD);
  Expect(Create(GuestRequest("g", "10.1.0.6/24")), absl::StatusCode::kAlreadyExists,
         v1::ErrorInfo::NAME_TAKEN);
  // Taken by a guest, whatever the prefix; and by a server's shared addresses.
  Expect(Create(GuestRequest("h", "10.1.0.5/16")), kPrecondition, v1::ErrorInfo::ADDRESS_TAKEN);
  Expect(Create(GuestRequest("h", "10.1.0.2/24")), kPrecondition, v1::ErrorInfo::ADDRESS_TAKEN);
  std::string mac = Guest("g").status().mac();
  Expect(Create(guest([&](v1::GuestSpec* s) { s->set_mac(mac); })), kPrecondition,
         v1::ErrorInfo::ADDRESS_TAKEN);
  EXPECT_EQ(Everything(), before);
}

TEST_F(ApiTest, DefaultsAndCanonicalForms) {
  CreateServer();
  v1::CreateGuestRequest request = GuestRequest("h", "10.1.0.6/24");
  request.mutable_guest()->mutable_spec()->add_addresses("FD00:0:0::0006/64");
  request.mutable_guest()->mutable_spec()->set_ipv6_gateway("FE80::1");
  request.mutable_guest()->mutable_spec()->set_mac("02:AA:00:00:00:FF");
  ASSERT_TRUE(Create(request).ok());
  v1::GuestSpec spec = Guest("h").spec();
  EXPECT_EQ(spec.addresses(1), "fd00::6/64");
  EXPECT_EQ(spec.ipv6_gateway(), "fe80::1");
  EXPECT_EQ(spec.mac(), "02:aa:00:00:00:ff");
  EXPECT_EQ(spec.queue_pairs(), 1u);
  EXPECT_EQ(spec.restart(), v1::GuestSpec::ALWAYS);
  EXPECT_TRUE(Server().spec().standby());
  EXPECT_EQ(Server().spec().hang_timeout().nanos(), 500'000'000);
  Expect(Create(GuestRequest("i", "fd00::6/64")), kPrecondition, v1::ErrorInfo::ADDRESS_TAKEN);
}

TEST_F(ApiTest, ServerFields) {
  CreateServer();
  CreateNic("free");
  std::string before = Everything();
  auto server = [](const std::function<void(v1::NetworkServerSpec*)>& change) {
    v1::CreateNetworkServerRequest request = ServerRequest("t", "free");
    change(request.mutable_network_server()->mutable_spec());
    return request;
  };
  Expect(Create(ServerRequest("s", "free")), absl::StatusCode::kAlreadyExists, v1::ErrorInfo::NAME_TAKEN);
  Expect(Create(ServerRequest("t", "wire")), kPrecondition, v1::ErrorInfo::NIC_TAKEN);
  Expect(Create(server([](auto* s) { s->clear_nic(); })), kInvalid, v1::ErrorInfo::MISSING_FIELD);
  Expect(Create(server([](auto* s) { s->add_shared_addresses("10.1.0.2/24"); })), kPrecondition,
         v1::ErrorInfo::ADDRESS_TAKEN);
  Invalid(Create(server([](auto* s) { s->add_shared_addresses("x"); })),
          "network_server.spec.shared_addresses[0]");
  Invalid(Create(server([](auto* s) {
            for (int i = 10; i < 19; ++i) s->add_shared_addresses(absl::StrCat("10.1.0.", i, "/24"));
          })),
          "network_server.spec.shared_addresses");
  Invalid(Create(server([](auto* s) { s->set_image("/no/such"); })), "network_server.spec.image");
  for (int64_t seconds : {0L, -1L, 61L, INT64_MAX}) {
    Invalid(Create(server([&](auto* s) { s->mutable_hang_timeout()->set_seconds(seconds); })),
            "network_server.spec.hang_timeout");
  }
  EXPECT_EQ(Everything(), before);
}

TEST_F(ApiTest, NicFields) {
  CreateServer();
  hv_.broken_interfaces.insert("gone");
  std::string before = Everything();
  v1::CreateNicRequest empty;
  empty.mutable_nic()->set_name("nics/n");
  Expect(Create(empty), kInvalid, v1::ErrorInfo::MISSING_FIELD);
  Expect(Create(NicRequest("n", "")), kInvalid, v1::ErrorInfo::MISSING_FIELD);
  for (const char* interface : {"a/b", "..", "sixteen-chars-xx", "a b", "a:b", "a%d"}) {
    Invalid(Create(NicRequest("n", interface)), "nic.spec.tap.interface");
  }
  v1::CreateNicRequest request = NicRequest("n", "tap1");
  request.mutable_nic()->mutable_spec()->mutable_tap()->set_bridge("b/c");
  Invalid(Create(request), "nic.spec.tap.bridge");
  request = NicRequest("n", "tap1");
  request.mutable_nic()->mutable_spec()->mutable_tap()->set_network_namespace("wire");
  Invalid(Create(request), "nic.spec.tap.network_namespace");
  Expect(Create(NicRequest("wire", "tap1")), absl::StatusCode::kAlreadyExists, v1::ErrorInfo::NAME_TAKEN);
  Expect(Create(NicRequest("n", "tap-wire")), kPrecondition, v1::ErrorInfo::NIC_TAKEN);
  Expect(Create(NicRequest("n", "gone")), kPrecondition, v1::ErrorInfo::NIC_UNAVAILABLE);
  v1::DeleteNicRequest del;
  del.set_name("nics/wire");
  v1::DeleteNicResponse deleted;
  Expect(api_->DeleteNic(del, &deleted), kPrecondition, v1::ErrorInfo::IN_USE);
  EXPECT_EQ(Everything(), before);
}

TEST_F(ApiTest, DevicesAndSizesAreThoseOfTheHypervisor) {
  CreateServer();
  v1::CreateNicRequest pci;
  pci.mutable_nic()->set_name("nics/p");
  pci.mutable_nic()->mutable_spec()->mutable_pci()->set_address("0000:03:00.0");
  Invalid(Create(pci), "nic.spec.pci");
  v1::CreateNetworkServerRequest server = ServerRequest("s2", "wire");
  server.mutable_network_server()->mutable_spec()->set_memory_mib(64);
  Invalid(Create(server), "network_server.spec.memory_mib");
  v1::CreateGuestRequest guest = GuestRequest("g", "10.1.0.9/24");
  guest.mutable_guest()->mutable_spec()->set_vcpus(2);
  Invalid(Create(guest), "guest.spec.vcpus");

  hv_.kind_of_domains = hypervisor::Kind::kXen;
  Invalid(Create(NicRequest("n", "tap1")), "nic.spec.tap");
  for (const char* address : {"03:00.0", "0000:03:00.8", "0000:03:20.0", "0000:03:00.0 ", "zzzz:03:00.0"}) {
    pci.mutable_nic()->mutable_spec()->mutable_pci()->set_address(address);
    Invalid(Create(pci), "nic.spec.pci.address");
  }
  pci.mutable_nic()->mutable_spec()->mutable_pci()->set_address("0000:0A:00.0");
  EXPECT_TRUE(Create(pci).ok());
  pci.mutable_nic()->set_name("nics/q");
  pci.mutable_nic()->mutable_spec()->mutable_pci()->set_address("0000:0a:00.0");
  Expect(Create(pci), kPrecondition, v1::ErrorInfo::NIC_TAKEN);
  server.mutable_network_server()->mutable_spec()->set_memory_mib(31);
  Invalid(Create(server), "network_server.spec.memory_mib");
  guest.mutable_guest()->mutable_spec()->set_vcpus(65);
  Invalid(Create(guest), "guest.spec.vcpus");
}

TEST_F(ApiTest, ModeChangePreconditions) {
  CreateServer();
  CreateGuest("g", "10.1.0.5/24");
  CreateGuest("shared", "");
  std::string before = Everything();
  Expect(SetMode("guests/g", v1::MODE_UNSPECIFIED), kInvalid, v1::ErrorInfo::MISSING_FIELD);
  Invalid(SetMode("guests/g", static_cast<v1::Mode>(9)), "mode");
  Invalid(SetMode("guests/g", v1::SERVER, "nics/wire"), "nic");
  Expect(SetMode("guests/g", v1::DIRECT), kPrecondition, v1::ErrorInfo::NIC_UNAVAILABLE);
  Expect(SetMode("guests/g", v1::DIRECT, "nics/wire"), kPrecondition, v1::ErrorInfo::NIC_TAKEN);
  Expect(SetMode("guests/g", v1::DIRECT, "nics/no"), absl::StatusCode::kNotFound,
         v1::ErrorInfo::NO_SUCH_RESOURCE);
  Expect(SetMode("guests/g", v1::DIRECT, "wire"), kInvalid, v1::ErrorInfo::MALFORMED_NAME);
  Expect(SetMode("guests/shared", v1::DIRECT), kPrecondition, v1::ErrorInfo::SHARED_ADDRESS);
  Expect(SetMode("guests/g", v1::DIRECT, "", "r0"), absl::StatusCode::kAborted, v1::ErrorInfo::STALE_ETAG);
  v1::SetGuestModeRequest request;
  request.set_name("guests/g");
  request.set_mode(v1::DIRECT);
  request.mutable_deadline()->set_nanos(9'000'000);
  v1::Operation operation;
  Invalid(api_->SetGuestMode(request, &operation), "deadline");
  EXPECT_EQ(Everything(), before);
}

TEST_F(ApiTest, ServerInUseUnderWayAndWrongState) {
  CreateServer();
  CreateGuest("g", "10.1.0.5/24");
  v1::DeleteNetworkServerRequest del;
  del.set_name("servers/s");
  v1::DeleteNetworkServerResponse deleted;
  Expect(api_->DeleteNetworkServer(del, &deleted), kPrecondition, v1::ErrorInfo::IN_USE);
  del.set_etag("stale");
  Expect(api_->DeleteNetworkServer(del, &deleted), absl::StatusCode::kAborted, v1::ErrorInfo::STALE_ETAG);
  v1::UpgradeNetworkServerRequest upgrade;
  upgrade.set_name("servers/s");
  upgrade.set_image("/no/such");
  v1::Operation operation;
  Invalid(api_->UpgradeNetworkServer(upgrade, &operation), "image");
  upgrade.clear_image();
  ASSERT_TRUE(api_->UpgradeNetworkServer(upgrade, &operation).ok());
  Expect(api_->UpgradeNetworkServer(upgrade, &operation), absl::StatusCode::kAborted,
         v1::ErrorInfo::OPERATION_UNDER_WAY);
  CreateNic("two");
  v1::NetworkServer server;
  ASSERT_TRUE(api_->CreateNetworkServer(ServerRequest("t", "two"), &server).ok());
  upgrade.set_name("servers/t");
  Expect(api_->UpgradeNetworkServer(upgrade, &operation), kPrecondition, v1::ErrorInfo::WRONG_STATE);
  v1::FailNetworkServerRequest fail;
  fail.set_name("servers/t");
  Expect(api_->FailNetworkServer(fail, &server), kPrecondition, v1::ErrorInfo::WRONG_STATE);
}

TEST_F(ApiTest, RequestIdsAreAnsweredOnceAlsoAfterARestart) {
  CreateServer();
  v1::CreateGuestRequest request = GuestRequest("g", "10.1.0.5/24");
  request.set_request_id("id-1");
  v1::Guest first, second;
  ASSERT_TRUE(api_->CreateGuest(request, &first).ok());
  int creations = hv_.creations;
  ASSERT_TRUE(api_->CreateGuest(request, &second).ok());
  EXPECT_EQ(first.SerializeAsString(), second.SerializeAsString());
  EXPECT_EQ(hv_.creations, creations);
  Settle();
  Restart();
  second.Clear();
  ASSERT_TRUE(api_->CreateGuest(request, &second).ok());
  EXPECT_EQ(first.SerializeAsString(), second.SerializeAsString());
  request.mutable_guest()->mutable_spec()->set_queue_pairs(2);
  Expect(api_->CreateGuest(request, &second), absl::StatusCode::kAlreadyExists,
         v1::ErrorInfo::REQUEST_ID_REUSED);
  v1::DeleteGuestRequest del;
  del.set_name("guests/g");
  del.set_request_id("id-1");
  v1::DeleteGuestResponse deleted;
  Expect(api_->DeleteGuest(del, &deleted), absl::StatusCode::kAlreadyExists,
         v1::ErrorInfo::REQUEST_ID_REUSED);
  del.set_request_id(std::string(65, 'x'));
  Invalid(api_->DeleteGuest(del, &deleted), "request_id");
  del.set_request_id("a b");
  Invalid(api_->DeleteGuest(del, &deleted), "request_id");
  EXPECT_TRUE(api_->Exists("guests/g"));
}

TEST_F(ApiTest, FailedCallsDoNotUseUpTheirRequestId) {
  CreateServer();
  v1::CreateGuestRequest request = GuestRequest("g", "10.1.0.2/24");
  request.set_request_id("id-1");
  v1::Guest response;
  Expect(api_->CreateGuest(request, &response), kPrecondition, v1::ErrorInfo::ADDRESS_TAKEN);
  request.mutable_guest()->mutable_spec()->set_addresses(0, "10.1.0.5/24");
  EXPECT_TRUE(api_->CreateGuest(request, &response).ok());
}

TEST_F(ApiTest, OnlySoManyRequestIdsAreKept) {
  CreateServer();
  v1::CreateGuestRequest request = GuestRequest("g", "10.1.0.5/24");
  request.set_request_id("first");
  v1::Guest response;
  ASSERT_TRUE(api_->CreateGuest(request, &response).ok());
  for (size_t i = controller_->model.requests.size(); i <= kMaxRequests; ++i) {
    controller_->model.requests.emplace_back().set_request_id(absl::StrCat("n", i));
  }
  v1::CreateGuestRequest other = GuestRequest("h", "10.1.0.6/24");
  other.set_request_id("last");
  ASSERT_TRUE(api_->CreateGuest(other, &response).ok());
  EXPECT_EQ(controller_->model.requests.size(), kMaxRequests);
  Expect(api_->CreateGuest(request, &response), absl::StatusCode::kAlreadyExists, v1::ErrorInfo::NAME_TAKEN);
}

TEST_F(ApiTest, WhatCannotBeStoredDoesNotHappen) {
  CreateServer();
  CreateGuest("g", "10.1.0.5/24");
  CreateNic("spare");
  std::string before = Everything();
  // A directory in the place of the temporary file: it cannot be written, not even by root.
  ASSERT_TRUE(std::filesystem::create_directory(store_->path() + ".new"));
  constexpr auto kCode = absl::StatusCode::kInternal;
  Expect(Create(GuestRequest("h", "10.1.0.6/24")), kCode, v1::ErrorInfo::HOST_ERROR);
  Expect(Create(NicRequest("n", "tap1")), kCode, v1::ErrorInfo::HOST_ERROR);
  Expect(Create(ServerRequest("t", "spare")), kCode, v1::ErrorInfo::HOST_ERROR);
  Expect(SetMode("guests/g", v1::DIRECT), kCode, v1::ErrorInfo::HOST_ERROR);
  v1::DeleteGuestRequest del;
  del.set_name("guests/g");
  del.set_request_id("d");
  v1::DeleteGuestResponse deleted;
  Expect(api_->DeleteGuest(del, &deleted), kCode, v1::ErrorInfo::HOST_ERROR);
  v1::UpgradeNetworkServerRequest upgrade;
  upgrade.set_name("servers/s");
  v1::Operation operation;
  Expect(api_->UpgradeNetworkServer(upgrade, &operation), kCode, v1::ErrorInfo::HOST_ERROR);
  EXPECT_EQ(Everything(), before);
  std::filesystem::remove(store_->path() + ".new");
  EXPECT_TRUE(api_->DeleteGuest(del, &deleted).ok());
}

TEST_F(ApiTest, DeletionFreesEverything) {
  CreateServer();
  CreateGuest("g", "10.1.0.5/24");
  uint32_t domain = DomainOf("g");
  v1::DeleteGuestRequest del;
  del.set_name("guests/g");
  v1::DeleteGuestResponse deleted;
  ASSERT_TRUE(api_->DeleteGuest(del, &deleted).ok());
  EXPECT_EQ(Guest("g").status().state(), v1::GuestStatus::DELETING);
  hv_.DieAll();
  EXPECT_FALSE(api_->Exists("guests/g"));
  EXPECT_TRUE(hv_.List(absl::StrCat("/local/domain/", domain)).empty());
  EXPECT_TRUE(hv_.List(absl::StrCat("/local/domain/", Active(), "/backend/vif")).empty());
  EXPECT_TRUE(Create(GuestRequest("g", "10.1.0.5/24")).ok());
  del.set_name("guests/g");
  ASSERT_TRUE(api_->DeleteGuest(del, &deleted).ok());
  hv_.DieAll();
  v1::DeleteNetworkServerRequest server;
  server.set_name("servers/s");
  v1::DeleteNetworkServerResponse gone;
  ASSERT_TRUE(api_->DeleteNetworkServer(server, &gone).ok());
  hv_.DieAll();
  EXPECT_FALSE(api_->Exists("servers/s"));
  EXPECT_TRUE(hv_.domains.empty());
  v1::DeleteNicRequest nic;
  nic.set_name("nics/wire");
  v1::DeleteNicResponse nic_gone;
  ASSERT_TRUE(api_->DeleteNic(nic, &nic_gone).ok());
  EXPECT_TRUE(hv_.open_nics.empty());
  Settle();
  scheduler_->Advance(absl::Seconds(20));
  EXPECT_TRUE(hv_.domains.empty()) << "no timer brings anything back";
}

TEST_F(ApiTest, Pages) {
  CreateServer();
  for (int i = 0; i < 5; ++i) CreateGuest(absl::StrCat("g", i), absl::StrCat("10.1.0.", 10 + i, "/24"));
  v1::ListGuestsRequest request;
  request.set_page_size(2);
  std::string names;
  int pages = 0;
  do {
    v1::ListGuestsResponse response;
    ASSERT_TRUE(api_->ListGuests(request, &response).ok());
    for (const auto& guest : response.guests()) names += guest.name().back();
    request.set_page_token(response.next_page_token());
    ++pages;
  } while (!request.page_token().empty());
  EXPECT_EQ(names, "01234");
  EXPECT_EQ(pages, 3);
  request.set_page_size(-1);
  v1::ListGuestsResponse response;
  Invalid(api_->ListGuests(request, &response), "page_size");
}

TEST_F(ApiTest, Channels) {
  CreateServer();
  CreateGuest("g", "10.1.0.5/24");
  hv_.Publish(DomainOf("g"), absl::StrCat("device/vif/0/frontend/", Active(), "/ring"), "7 1 1 256 2048");
  hv_.Publish(Standby(), absl::StrCat("backend/vif/", DomainOf("g"), "/0/state"), "6");
  hv_.Publish(Standby(), absl::StrCat("backend/vif/", DomainOf("g"), "/0/error"), "bad-slot");
  v1::ListChannelsRequest request;
  v1::ListChannelsResponse response;
  ASSERT_TRUE(api_->ListChannels(request, &response).ok());
  ASSERT_EQ(response.channels_size(), 2);
  const v1::Channel& active = response.channels(0);
  EXPECT_EQ(active.name(), absl::StrCat("guests/g/channels/", Active()));
  EXPECT_EQ(active.role(), v1::Channel::ROLE_ACTIVE);
  EXPECT_EQ(active.state(), v1::Channel::CONNECTED);
  EXPECT_EQ(active.entries(), 256u);
  EXPECT_EQ(response.channels(1).state(), v1::Channel::CLOSED);
  EXPECT_EQ(response.channels(1).error(), "bad-slot");
  v1::GetChannelRequest get;
  get.set_name(active.name());
  v1::Channel channel;
  EXPECT_TRUE(api_->GetChannel(get, &channel).ok());
}

TEST_F(ApiTest, StatisticsOfTheDaemonItself) {
  hv_.census = {{"registry_keys", 7}};
  v1::GetStatisticsRequest request;
  request.set_name("daemon");
  v1::GetStatisticsResponse response;
  ASSERT_TRUE(api_->GetStatistics(request, &response).ok());
  ASSERT_EQ(response.resources_size(), 1);
  EXPECT_EQ(response.resources(0).name(), "daemon");
  EXPECT_EQ(response.resources(0).counters().at("registry_keys"), 7u);
}

TEST_F(ApiTest, StatisticsTrustNoPage) {
  CreateServer();
  CreateGuest("g", "10.1.0.5/24");
  std::vector<uint64_t> page(64 * 3, 0);
  page[0] = 0x6c627374 | uint64_t{1} << 32;
  page[1] = 1'000'000;  // More rows than there are.
  page[64 + 1] = 11;    // Row 0, rx_frames.
  page[128] = DomainOf("g") + 1;
  page[128 + 1 + 18] = 5;  // spoofed_mac
  hv_.domains[Active()].page = page;
  v1::GetStatisticsRequest request;
  request.set_name("servers/s");
  v1::GetStatisticsResponse response;
  ASSERT_TRUE(api_->GetStatistics(request, &response).ok());
  ASSERT_EQ(response.resources_size(), 2);
  EXPECT_EQ(response.resources(0).counters().at("rx_frames"), 11u);
  EXPECT_EQ(response.resources(0).counters().at("tx_bytes"), 0u);
  EXPECT_EQ(response.resources(1).peer(), "guests/g");
  EXPECT_EQ(response.resources(1).drops().at("spoofed_mac"), 5u);
  EXPECT_EQ(response.resources(1).counters().count("leases"), 0u);
  page[128] = ~uint64_t{0};
  hv_.domains[Active()].page = page;
  response.Clear();
  ASSERT_TRUE(api_->GetStatistics(request, &response).ok());
  EXPECT_EQ(response.resources_size(), 1);
  hv_.domains[Active()].page.resize(10);
  response.Clear();
  ASSERT_TRUE(api_->GetStatistics(request, &response).ok());
  EXPECT_EQ(response.resources_size(), 0);
}

}  // namespace
}  // namespace librettos::daemon
