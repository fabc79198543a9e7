// The whole server against what it reads of others: keys of the daemon and of guests, their memory, frames
// and control messages of theirs and of the wire.
//
// An input is text, an event a line:
//   role active 1 | shared 10.1.0.2/24 | lease-key 00…  keys of the daemon below control/; "-role": removed
//   guest 3 02:00:00:00:00:01 dedicated 10.1.0.5/24     a guest's identity; "-guest 3": it is gone
//   ring 3 1 1 1 64 2048 | event 3 0 1                  keys of guest 3 or 4
//   word 3 64 5                                         a 32-bit word of its memory
//   frame 3 0201… | control 3 0100…                     through its transmit ring; "wire 0201…": from the NIC
//   nic | step 20 | die 3
// Checked beside memory: no rule of the platform is broken, and a turn comes to an end.
#include <charconv>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "bazel/fuzz_input.h"
#include "drivers/net/testing/fake_nic.h"
#include "guest/channel/layout.h"
#include "guest/channel/ring.h"
#include "guest/platform/testing/fake_platform.h"
#include "netserver/server.h"

namespace librettos::netserver {
namespace {

using Bytes = std::vector<std::byte>;

constexpr DomainId kServer = 100, kFirstGuest = 3;
constexpr size_t kGuests = 2;
constexpr size_t kMaxLines = 64;
constexpr uint64_t kMaxSteps = 50;
constexpr channel::Geometry kGeometry = {1, 64, 2048};

uint64_t TakeNumber(std::string_view& text) {
  uint64_t number = 0;
  (void)ParseNumber(NextWord(text), UINT64_MAX, number);
  return number;
}

Bytes TakeHex(std::string_view& text) {
  const std::string_view word = NextWord(text);
  Bytes bytes;
  for (size_t i = 0; i + 1 < word.size(); i += 2) {
    uint8_t byte = 0;
    (void)std::from_chars(word.data() + i, word.data() + i + 2, byte, 16);
    bytes.push_back(static_cast<std::byte>(byte));
  }
  return bytes;
}

// A guest's side: memory, one doorbell, and what it says of them.
struct Guest {
  explicit Guest(fake::FakeWorld& world, DomainId id) : id(id), platform(world.AddDomain(id)) {
    Region* region = platform->Allocate(kGeometry.total_bytes()).value();
    (void)region->GrantTo(kServer, true);
    memory = region->bytes();
    port = platform->Offer(kServer).value();
    auto* header = reinterpret_cast<channel::Header*>(memory.data());
    header->version = channel::kVersion;
    header->queue_pairs = kGeometry.queue_pairs;
    header->entries = kGeometry.entries;
    header->slot_bytes = kGeometry.slot_bytes;
    header->magic = channel::kMagic;
    const size_t ring = kGeometry.ring_offset(0, false);
    channel::RingView view;
    view.control = reinterpret_cast<channel::RingControl*>(memory.data() + ring);
    view.descriptors = reinterpret_cast<channel::Descriptor*>(view.control + 1);
    view.slots = memory.data() + kGeometry.slots_offset(ring);
    view.entries = kGeometry.entries;
    view.slot_bytes = kGeometry.slot_bytes;
    (void)transmit.Attach(view);
  }
  void Publish(std::string_view key, std::string_view value) {
    const std::string path = "/local/domain/" + std::to_string(id) + "/device/vif/0/frontend/" +
                             std::to_string(kServer) + "/" + std::string(key);
    (void)platform->registry().Publish(path, value);
  }
  void Show() {
    (void)transmit.Publish();
    port->Signal();
  }
  const DomainId id;
  fake::FakePlatform* const platform;
  std::span<std::byte> memory;
  EventPort* port;
  channel::Producer<> transmit;
};

class Fuzz {
 public:
  Fuzz() {
    fake::FreezeClock();
    fake::RegisterNic("nic0", &nic_);
    fake::FakePlatform* platform = world_.AddDomain(kServer);
    for (DomainId id = kFirstGuest; id < kFirstGuest + kGuests; ++id) {
      guests_.push_back(std::make_unique<Guest>(world_, id));
    }
    server_ = std::make_unique<Server>(*platform);
    FUZZ_CHECK(server_->Start().ok());
  }
  ~Fuzz() {
    server_.reset();
    FUZZ_CHECK(fake::OpenNics() == 0 && world_.violations() == 0);
    fake::RegisterNic("nic0", nullptr);
    fake::ThawClock();
  }

  void Run(std::string_view script) {
    for (size_t lines = 0; !script.empty() && lines < kMaxLines; ++lines) {
      const size_t end = std::min(script.find('\n'), script.size());
      Line(script.substr(0, end));
      script.remove_prefix(std::min(script.size(), end + 1));
    }
    Step(kMaxSteps);
  }

 private:
  static std::string Path(std::string_view name) {
    return "/local/domain/" + std::to_string(kServer) + "/" + std::string(name);
  }
  void Write(const std::string& path, std::string_view value, bool gone) {
    if (value.size() > 1024) return;  // As the registry says.
    gone ? world_.Remove(path) : world_.Write(path, std::string(value));
  }

  void Step(uint64_t times) {
    for (uint64_t i = 0; i < std::min(times, kMaxSteps); ++i) {
      world_.RunUntilIdle();
      server_->Step();
      nic_.Poll();
      fake::AdvanceClock(20'000);
    }
    nic_.sent().clear();
  }

  void Line(std::string_view text) {
    std::string_view what = NextWord(text);
    const bool gone = what.starts_with('-');
    if (gone) what.remove_prefix(1);
    if (!text.empty()) text.remove_prefix(1);
    if (what == "role" || what == "shared" || what == "lease-key") {
      return Write(Path("control/" + std::string(what)), text, gone);
    }
    if (what == "nic") return GiveNic();
    if (what == "step") return Step(TakeNumber(text));
    if (what == "wire") {
      Bytes frame = TakeHex(text);
      if (frame.size() <= 1518) nic_.Inject(std::move(frame));
      return;
    }
    const uint64_t id = TakeNumber(text);
    if (!text.empty()) text.remove_prefix(1);
    if (id < kFirstGuest || id >= kFirstGuest + kGuests) return;
    Guest& guest = *guests_[id - kFirstGuest];
    if (what == "guest") {
      Write(Path("backend/vif/" + std::to_string(id) + "/0/guest"), text, gone);
    } else if (what == "ring" && text.size() <= 1024) {
      guest.Publish("ring", text);
    } else if (what == "event" && text.size() <= 1024) {
      const std::string key = "event-" + std::string(NextWord(text));
      if (key.find_first_not_of("event-0123456789") == key.npos)
        guest.Publish(key, text.empty() ? text : text.substr(1));
    } else if (what == "word") {
      const uint64_t at = TakeNumber(text) / 4 * 4;
      const auto value = static_cast<uint32_t>(TakeNumber(text));
      if (at + 4 <= guest.memory.size()) std::memcpy(&guest.memory[at], &value, 4);
    } else if (what == "frame") {
      const Bytes frame = TakeHex(text);
      const Part part{frame.data(), static_cast<uint32_t>(frame.size())};
      Offload offload;
      offload.needs_checksum = gone;
      offload.checksum_start = 34;
      offload.checksum_offset = 16;
      (void)guest.transmit.Put({{&part, 1}, part.length, offload});
      guest.Show();
    } else if (what == "control") {
      const Bytes bytes = TakeHex(text);
      channel::ControlMessage message = {};
      std::copy_n(bytes.begin(), std::min(bytes.size(), sizeof(message)),
                  reinterpret_cast<std::byte*>(&message));
      (void)guest.transmit.PutControl(message);
      guest.Show();
    } else if (what == "die") {
      world_.KillDomain(static_cast<DomainId>(id));
    }
  }

  void GiveNic() {
    Device device{};
    std::strcpy(device.name, "nic0");
    device.kind = DeviceKind::kTap;
    const MacAddress address = nic_.address();
    std::memcpy(device.address, address.data(), address.size());
    device.mtu = nic_.mtu();
    if (!world_.HoldsDevice(kServer, device.name)) world_.GiveDevice(kServer, device);
  }

  fake::FakeWorld world_;
  fake::FakeNic nic_{{2, 0, 0, 0, 0, 0xff}};
  std::vector<std::unique_ptr<Guest>> guests_;
  std::unique_ptr<Server> server_;
};

}  // namespace
}  // namespace librettos::netserver

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  librettos::netserver::Fuzz().Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
