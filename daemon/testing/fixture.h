// A daemon without gRPC on a fake hypervisor and a fake clock, with shortcuts for what tests do again and
// again.
#pragma once

#include <stdlib.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "daemon/api.h"
#include "daemon/controller.h"
#include "daemon/errors.h"
#include "daemon/testing/fake_hypervisor.h"
#include "daemon/testing/fake_scheduler.h"
#include "gtest/gtest.h"

namespace librettos::daemon {

class DaemonTest : public ::testing::Test {
 protected:
  DaemonTest() {
    std::string name = ::testing::TempDir() + "/librettosd-XXXXXX";
    directory_ = mkdtemp(name.data());
    Start();
  }
  ~DaemonTest() override {
    Stop();
    std::filesystem::remove_all(directory_);
  }

  void Start() {
    scheduler_ = std::make_unique<FakeScheduler>();
    hub_ = std::make_unique<WatchHub>();
    store_ = std::make_unique<Store>(directory_);
    controller_ = std::make_unique<Controller>(*scheduler_, hv_, *store_, *hub_);
    recovered_ = controller_->Recover();
    api_ = std::make_unique<Api>(*controller_);
  }
  void Stop() {
    api_.reset();
    controller_.reset();
  }
  // The daemon is killed: nothing that waits for a timer is written any more. Domains run on, and connect
  // when told to.
  void Kill() {
    Stop();
    hv_.BeginRestart();
  }
  void Restart() {
    Kill();
    Start();
    ASSERT_TRUE(recovered_.ok()) << recovered_;
  }
  void ConnectAll() {
    std::vector<uint32_t> ids;
    for (const auto& [id, domain] : hv_.domains) ids.push_back(id);
    for (uint32_t id : ids) hv_.Connect(id);
  }
  // What waits for its turn is done, and the state is on disk.
  void Settle() { scheduler_->Advance(absl::Milliseconds(20)); }

  void CreateNic(const std::string& id) {
    v1::CreateNicRequest request;
    request.mutable_nic()->set_name("nics/" + id);
    request.mutable_nic()->mutable_spec()->mutable_tap()->set_interface("tap-" + id);
    v1::Nic response;
    ASSERT_TRUE(api_->CreateNic(request, &response).ok());
  }
  static v1::CreateNetworkServerRequest ServerRequest(const std::string& id, const std::string& nic) {
    v1::CreateNetworkServerRequest request;
    request.mutable_network_server()->set_name("servers/" + id);
    request.mutable_network_server()->mutable_spec()->set_nic("nics/" + nic);
    return request;
  }
  static v1::CreateGuestRequest GuestRequest(const std::string& id, const std::string& address) {
    v1::CreateGuestRequest request;
    request.mutable_guest()->set_name("guests/" + id);
    v1::GuestSpec& spec = *request.mutable_guest()->mutable_spec();
    spec.set_server("servers/s");
    if (!address.empty()) spec.add_addresses(address);
    spec.add_arguments("echo");
    return request;
  }
  // nics/wire and servers/s on it, active and with a ready standby.
  void CreateServer() {
    CreateNic("wire");
    v1::NetworkServer response;
    v1::CreateNetworkServerRequest request = ServerRequest("s", "wire");
    request.mutable_network_server()->mutable_spec()->add_shared_addresses("10.1.0.2/24");
    ASSERT_TRUE(api_->CreateNetworkServer(request, &response).ok());
    Ready(hv_.Named("servers/s"));
    TakeRole(Active());
    ASSERT_NE(Standby(), 0u);
    Ready(Standby());
    Settle();
  }
  // A guest that runs and is connected to the active server.
  void CreateGuest(const std::string& id, const std::string& address) {
    v1::Guest response;
    absl::Status status = api_->CreateGuest(GuestRequest(id, address), &response);
    ASSERT_TRUE(status.ok()) << status;
    hv_.Connect(DomainOf(id));
    hv_.Publish(Active(), absl::StrCat("backend/vif/", DomainOf(id), "/0/state"), "4");
    Settle();
  }

  void Ready(uint32_t domain) {
    hv_.Connect(domain);
    hv_.Publish(domain, "data/ready", "2");
  }
  // The server does what control/role says.
  void TakeRole(uint32_t domain) { hv_.Publish(domain, "data/role", Role(domain)); }
  void BeHealthy(uint32_t domain) {
    hv_.Publish(domain, "data/healthy", absl::StrCat(Server().status().epoch()));
  }
  std::string Role(uint32_t domain) {
    return hv_.Key(absl::StrCat("/local/domain/", domain, "/control/role"));
  }
  v1::NetworkServer Server() { return controller_->servers.View("servers/s"); }
  v1::Guest Guest(const std::string& id) { return controller_->guests.View("guests/" + id); }
  uint32_t Active() { return Server().status().active_domain(); }
  uint32_t Standby() { return Server().status().standby_domain(); }
  uint32_t DomainOf(const std::string& guest) { return Guest(guest).status().domain(); }
  v1::Operation Operation(const std::string& name) { return *controller_->operations.Find(name); }
  // Place in the journal of the first entry that starts so; -1: none.
  int Journal(const std::string& start) {
    for (size_t i = 0; i < hv_.journal.size(); ++i) {
      if (hv_.journal[i].rfind(start, 0) == 0) return static_cast<int>(i);
    }
    return -1;
  }

  std::string directory_;
  hypervisor::FakeHypervisor hv_;
  std::unique_ptr<FakeScheduler> scheduler_;
  std::unique_ptr<WatchHub> hub_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Controller> controller_;
  std::unique_ptr<Api> api_;
  absl::Status recovered_;
};

inline v1::ErrorInfo::Reason ReasonOf(const absl::Status& status) {
  auto info = ErrorInfoOf(status);
  return info.has_value() ? info->reason() : v1::ErrorInfo::REASON_UNSPECIFIED;
}

}  // namespace librettos::daemon
