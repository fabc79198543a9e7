// The whole server, with real guest ends in a fake world and a fake NIC.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "drivers/net/testing/fake_nic.h"
#include "guest/channel/guest_end.h"
#include "guest/platform/testing/fake_platform.h"
#include "netserver/server.h"
#include "netserver/testing_frames.h"

namespace librettos::netserver {

using namespace testing;
using channel::ControlMessage;
using channel::ControlType;
using channel::LeaseStatus;

inline constexpr DomainId kServer = 100;
inline const MacAddress kNic = M(0xff), kPeer = M(0xee);

class TestGuest final : private channel::GuestEndObserver {
 public:
  TestGuest(fake::FakeWorld& world, DomainId id, uint32_t entries = 64, uint32_t queue_pairs = 1)
      : id_(id), platform_(world.AddDomain(id)) {
    auto end =
        channel::GuestEnd::Create(*platform_, Base(), {.queue_pairs = queue_pairs, .entries = entries}, this);
    EXPECT_TRUE(end.ok());
    end_.reset(end.value());
  }
  std::string Base() const { return "/local/domain/" + std::to_string(id_) + "/device/vif/0"; }

  Status Put(const Bytes& frame, const Offload& offload = {}) {
    Part part{frame.data(), static_cast<uint32_t>(frame.size())};
    return end_->transmit(0).Put({{&part, 1}, part.length, offload});
  }
  void Publish() {
    if (end_->transmit(0).Publish()) end_->Signal(0);
  }
  void Send(const Bytes& frame, const Offload& offload = {}) {
    EXPECT_TRUE(Put(frame, offload).ok());
    Publish();
  }
  void Tell(ControlType type, uint8_t protocol, uint16_t port, uint32_t id = 1, uint32_t value = 0) {
    ControlMessage message{};
    message.type = static_cast<uint16_t>(type);
    message.protocol = protocol;
    message.port = port;
    message.id = id;
    message.value = value;
    EXPECT_TRUE(end_->transmit(0).PutControl(message).ok());
    Publish();
  }
  // Takes all that arrived.
  std::vector<Bytes> Take() {
    std::vector<Bytes> frames;
    auto received = std::make_unique<channel::Received>();
    while (end_->receive(0).Peek(*received)) {
      if (received->control) {
        replies.push_back(received->message);
      } else {
        frames.emplace_back(received->length);
        received->CopyTo(frames.back().data());
        offloads.push_back(received->offload);
      }
      if (end_->receive(0).Commit(received->entries)) end_->Signal(0);
    }
    EXPECT_EQ(end_->receive(0).violation(), channel::Violation::kNone);
    return frames;
  }
  bool Drained() { return end_->transmit(0).Drained(); }
  channel::GuestEnd& end() { return *end_; }

  std::vector<ControlMessage> replies;
  std::vector<Offload> offloads;
  uint32_t epoch = 0;

 private:
  void OnChannelEvent() override {}
  void OnServerChanged(DomainId, uint32_t new_epoch) override { epoch = new_epoch; }

  DomainId id_;
  fake::FakePlatform* platform_;
  std::unique_ptr<channel::GuestEnd> end_;
};

class ServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fake::FreezeClock();
    fake::RegisterNic("nic0", &nic_);
    server_ = Start(kServer);
  }
  void TearDown() override {
    server_.reset();
    second_.reset();
    guests_.clear();
    EXPECT_EQ(world_.violations(), 0);
    EXPECT_EQ(fake::OpenNics(), 0);
    fake::RegisterNic("nic0", nullptr);
    fake::ThawClock();
  }
  std::unique_ptr<Server> Start(DomainId id, Behaviour behaviour = Behaviour::kNormal) {
    fake::FakePlatform* platform = world_.AddDomain(id);
    platform->SetCpus(cpus_);
    auto server = std::make_unique<Server>(*platform, behaviour);
    world_.Write(Path(id, "control/role"), "standby");
    world_.Write(Path(id, "control/lease-key"), "000102030405060708090a0b0c0d0e0f");
    world_.Write(Path(id, "control/shared"), "10.1.0.100/24 fd00::100/64");
    EXPECT_TRUE(server->Start().ok());
    return server;
  }
  static std::string Path(DomainId id, const std::string& name) {
    return "/local/domain/" + std::to_string(id) + "/" + name;
  }
  void Introduce(DomainId guest, DomainId server, const std::string& identity) {
    world_.Write(Path(server, "backend/vif/" + std::to_string(guest) + "/0/guest"), identity);
    world_.Write(Path(guest, "device/vif/0/backend/" + std::to_string(server)), "1");
  }
  TestGuest& AddGuest(DomainId id, const std::string& identity, uint32_t entries = 64) {
    guests_.push_back(std::make_unique<TestGuest>(world_, id, entries));
    Introduce(id, kServer, identity);
    return *guests_.back();
  }
  TestGuest& AddDedicated(uint8_t id, uint32_t entries = 64) {
    std::string n = std::to_string(id);
    return AddGuest(id, "02:00:00:00:00:0" + n + " dedicated 10.1.0." + n + "/24 fd00::" + n + "/64",
                    entries);
  }
  TestGuest& AddShared(DomainId id) {
    return AddGuest(id, "02:00:00:00:00:ff shared 10.1.0.100/24 fd00::100/64");
  }
  void GiveNic(DomainId id) {
    Device device{};
    strcpy(device.name, "nic0");
    device.kind = DeviceKind::kTap;
    memcpy(device.address, kNic.data(), 6);
    device.mtu = mtu_;
    world_.GiveDevice(id, device);
  }
  void Activate(DomainId id, uint32_t epoch) {
    GiveNic(id);
    world_.Write(Path(id, "control/role"), "active " + std::to_string(epoch));
    Run();
  }
  void Run(int steps = 20) {
    for (int i = 0; i < steps; ++i) {
      world_.RunUntilIdle();
      for (Server* server : {server_.get(), second_.get()}) {
        if (server) server->Step();
      }
      nic_.Poll();
      fake::AdvanceClock(20'000);
    }
  }
  std::string Read(DomainId id, const std::string& name) { return world_.Read(Path(id, name)).value_or("-"); }
  Bytes Out(uint8_t guest, uint16_t port = 9, size_t data = 8) {
    return Udp4(M(guest), kPeer, "10.1.0." + std::to_string(guest), "10.1.0.200", 1, port, data);
  }
  Bytes In(uint8_t guest, uint16_t port = 9, size_t data = 8) {
    return Udp4(kPeer, M(guest), "10.1.0.200", "10.1.0." + std::to_string(guest), 1, port, data);
  }

  fake::FakeWorld world_;
  fake::FakeNic nic_{kNic};
  uint32_t mtu_ = 1500;  // Of the NIC that GiveNic gives.
  unsigned cpus_ = 1;    // Of a server that is started.
  std::vector<std::unique_ptr<TestGuest>> guests_;
  std::unique_ptr<Server> server_, second_;
};

}  // namespace librettos::netserver
