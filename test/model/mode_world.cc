#include "test/model/mode_world.h"

#include <algorithm>
#include <cstring>

#include "guest/net/headers.h"
#include "guest/net/stack.h"
#include "guest/sockets/sockets.h"
#include "netserver/testing_frames.h"

namespace librettos::test {
namespace {

using guest::TestWorld;

constexpr char kServerNic[] = "nics/wire", kOwnNic[] = "nics/own";
constexpr Nanoseconds kTick = 25'000'000;  // More than a mode change waits for a quiet NIC.
constexpr uint16_t kPort = 7, kPeerPort = 9;

struct Death {};  // Thrown through a server that dies.

Device Tap(const char* name, const MacAddress& address) {
  Device device = {};
  std::strcpy(device.name, name);
  device.kind = DeviceKind::kTap;
  std::copy(address.begin(), address.end(), device.address);
  device.mtu = 1500;
  return device;
}

std::string Path(DomainId id, const std::string& name) {
  return "/local/domain/" + std::to_string(id) + "/" + name;
}

// The number of a datagram; 0: it is none of ours.
int NumberIn(const std::vector<std::byte>& frame) {
  const guest::Layout layout = guest::Dissect(frame.data(), frame.size());
  if (layout.protocol != guest::kProtocolUdp || layout.ipv6) return 0;
  return std::atoi(std::string(reinterpret_cast<const char*>(frame.data()) + 42, frame.size() - 42).c_str());
}

}  // namespace

ModeWorld::ModeWorld(const Options& options) : options_(options), guest_got_(1, true) {
  fake::FreezeClock();
  fake::RegisterNic(kServerNic, &server_nic_);
  fake::RegisterNic(kOwnNic, &own_nic_);
  server_nic_.SetTransmitted([this] {
    if (dies_) throw Death();
  });
  fake::FakePlatform* guest = world_.AddDomain(kGuest);
  world_.Write(Path(kGuest, "device/vif/0/mac"), "02:00:00:00:00:01");
  world_.Write(Path(kGuest, "device/vif/0/addresses"), "10.1.0.5/24");
  world_.Write(Path(kGuest, "device/vif/0/mtu"), "1500");
  world_.Write(Path(kGuest, "device/vif/0/shared"), "0");
  world_.Write(Path(kGuest, "device/vif/0/queue-pairs"), "1");
  if (!guest::Stack::Start(*guest).ok()) Wrong("the stack does not start");
  AddServer();
  Activate();
  if (options_.standby) AddServer();
  socket_ = sockets::Socket(sockets::Family::kIpv4, sockets::Type::kDatagram).value();
  if (!sockets::Bind(socket_, sockets::Address::Any(sockets::Family::kIpv4, kPort)).ok()) Wrong("no socket");
  server_nic_.Inject(netserver::testing::Arp(netserver::kArpRequest, TestWorld::kPeerMac,
                                             netserver::testing::A("10.1.0.1"),
                                             netserver::testing::A("10.1.0.5")));
  for (int i = 0; i < 4; ++i) Do("st");
  acts_.clear();
}

ModeWorld::~ModeWorld() {
  sockets::Close(socket_);
  guest::Stack::Stop();
  fake::RegisterNic(kServerNic, nullptr);
  fake::RegisterNic(kOwnNic, nullptr);
  active_.reset();
  standby_.reset();
  fake::ThawClock();
}

void ModeWorld::Wrong(const std::string& what) {
  if (wrong_.empty()) wrong_ = what;
}

std::string ModeWorld::Story() const {
  return "acts " + acts_ + ", mode " + Mode() + ", guest sent " + std::to_string(guest_sent_) +
         ", peer got all up to " + std::to_string(peer_got_) + " and sent " + std::to_string(peer_sent_);
}

// ---- What the daemon does ----

void ModeWorld::AddServer() {
  const DomainId id = next_id_++;
  standby_ = std::make_unique<netserver::Server>(*world_.AddDomain(id));
  standby_id_ = id;
  world_.Write(Path(id, "control/role"), "standby");
  world_.Write(Path(id, "control/lease-key"), "000102030405060708090a0b0c0d0e0f");
  world_.Write(Path(id, "backend/vif/1/0/guest"), "02:00:00:00:00:01 dedicated 10.1.0.5/24");
  world_.Write(Path(kGuest, "device/vif/0/backend/" + std::to_string(id)), "1");
  if (!standby_->Start().ok()) Wrong("a server does not start");
  world_.RunUntilIdle();
  for (int i = 0; i < 3; ++i) standby_->Step();
  world_.RunUntilIdle();
}

void ModeWorld::Activate() {
  active_ = std::move(standby_);
  active_id_ = standby_id_;
  world_.GiveDevice(active_id_, Tap(kServerNic, server_nic_.address()));
  world_.Write(Path(active_id_, "control/role"), "active " + std::to_string(++epoch_));
}

void ModeWorld::Bury() {
  ++deaths_;
  dies_ = false;
  Wire();  // What it has sent so far.
  peer_repeats_ = peer_got_;
  world_.KillDomain(active_id_);
  // A dead domain runs no destructors; but these touch nothing of others, and memory is short.
  active_.reset();
  world_.Remove(Path(kGuest, "device/vif/0/backend/" + std::to_string(active_id_)));
  if (!options_.standby) AddServer();
  Activate();
  if (options_.standby) AddServer();
}

// ---- Turns ----

void ModeWorld::TurnPlatform(DomainId id) {
  for (int i = 0; i < 100 && world_.domain(id)->Turn(); ++i) {
  }
}

void ModeWorld::TurnGuest() {
  TurnPlatform(kGuest);
  own_nic_.Poll();
  guest::Stack::instance()->Turn(0);
  TurnPlatform(kGuest);
  TakeReceived();
  TakeReturned();
}

void ModeWorld::TakeReturned() {
  const auto& returned = world_.returned_devices();
  if (returned.empty() || !lent_) return;
  if (!world_.HoldsDevice(kGuest, kOwnNic)) lent_ = false;
}

void ModeWorld::Do(Act act) {
  acts_.push_back(static_cast<char>(act));
  Arrive(act == Act::kClock);
  switch (act) {
    case Act::kGuestSends: {
      const std::string text = std::to_string(guest_sent_ + 1);
      const auto peer = sockets::Address::Parse("10.1.0.1", kPeerPort).value();
      if (sockets::SendTo(socket_, guest::Text2Bytes(text), peer).ok()) ++guest_sent_;
      TurnGuest();
      break;
    }
    case Act::kGuestTurns:
      TurnGuest();
      break;
    case Act::kServerTurns:
      TurnPlatform(active_id_);
      server_nic_.Poll();
      try {
        active_->Step();
      } catch (const Death&) {
        Bury();
      }
      break;
    case Act::kPeerSends:
      under_way_.push_back(
          {acts_.size() + kLatency, location_,
           guest::MakeUdp(kPeerPort, kPort, guest::Text2Bytes(std::to_string(++peer_sent_)))});
      guest_got_.push_back(false);
      break;
    case Act::kClock:
      fake::AdvanceClock(kTick);
      TurnGuest();
      break;
    case Act::kServerDies:
      if (deaths_ < options_.deaths) Bury();
      break;
    case Act::kServerDiesInEffect:
      dies_ = deaths_ < options_.deaths;
      break;
    case Act::kDaemonDies:
      world_.SetDaemonAlive(daemon_ = !daemon_);
      break;
    case Act::kChange: {
      if (changes_ == options_.changes) break;
      ++changes_;
      const bool direct = changes_ % 2 == 1;
      if (direct && !lent_) {
        lent_ = true;
        world_.GiveDevice(kGuest, Tap(kOwnNic, own_nic_.address()));
      }
      world_.Write(Path(kGuest, "control/mode"), (direct ? "direct " : "server ") + std::to_string(changes_) +
                                                     " 50 " + (direct ? kOwnNic : "-"));
      break;
    }
  }
  Wire();
}

// ---- The wire ----

void ModeWorld::Wire() {
  // One domain has turned, and each has one NIC: there is no order between the two.
  Collect(server_nic_, &server_nic_);
  Collect(own_nic_, &own_nic_);
}

void ModeWorld::Arrive(bool all) {
  while (!under_way_.empty() && (all || under_way_.front().arrives <= acts_.size())) {
    under_way_.front().at->Inject(std::move(under_way_.front().frame));
    under_way_.pop_front();
  }
}

void ModeWorld::Collect(fake::FakeNic& nic, fake::FakeNic* location) {
  for (const fake::NicFrame& frame : nic.sent()) {
    if (std::memcmp(frame.bytes.data() + 6, TestWorld::kGuestMac.data(), 6) == 0) location_ = location;
    const int number = NumberIn(frame.bytes);
    if (number == 0) continue;
    if (number == peer_got_ + 1) {
      ++peer_got_;
    } else if (number > peer_got_) {
      Wrong("datagram " + std::to_string(number) + " comes after " + std::to_string(peer_got_));
    } else if (number > peer_repeats_) {
      Wrong("datagram " + std::to_string(number) + " comes again");
    }
  }
  nic.sent().clear();
}

void ModeWorld::TakeReceived() {
  std::vector<std::byte> buffer(64);
  for (;;) {
    auto bytes = sockets::ReceiveFrom(socket_, buffer, nullptr);
    if (!bytes.ok()) return;
    const int number = std::atoi(std::string(reinterpret_cast<const char*>(buffer.data()), *bytes).c_str());
    if (number <= 0 || number > peer_sent_) return Wrong("the guest got what nobody sent");
    if (guest_got_[number]) Wrong("the guest got " + std::to_string(number) + " again");
    guest_got_[number] = true;
  }
}

bool ModeWorld::Over() const {
  const std::string mode = Mode();
  const bool told = mode.find(" " + std::to_string(changes_) + " ") != std::string::npos;
  if (!told || mode.starts_with("preparing")) return false;
  return peer_got_ == guest_sent_ &&
         std::all_of(guest_got_.begin(), guest_got_.end(), [](bool got) { return got; });
}

bool ModeWorld::Settle() {
  dies_ = false;
  if (!daemon_) Do(Act::kDaemonDies);
  for (int i = 0; i < 60 && wrong_.empty(); ++i) {
    // A turn more than it needs: nothing may come late.
    if (Over() && i % 3 == 2) {
      Do("pgst");
      Do("stst");
      if (wrong_.empty() && Over()) return true;
    }
    Do("ts");
    if (i % 3 == 2) Do("a");
  }
  return false;
}

}  // namespace librettos::test
