// Changes of mode as a daemon could ask for them, with NICs that come or do not, a server that takes frames
// or does not, and lease replies that nobody asked for.
//
// An input is text, an event a line:
//   mode direct 1 100 nics/one | nic nics/one | take | peek | advance 50 | send 3 | reply 0100… | room 0
// Checked: the state that the guest says is one that there is, and after all deadlines no change is under
// way.
#include <charconv>
#include <cstring>
#include <string>

#include "bazel/fuzz_input.h"
#include "drivers/net/testing/fake_nic.h"
#include "guest/net/testing/test_world.h"

namespace librettos::guest {
namespace {

constexpr size_t kMaxLines = 64;
constexpr Nanoseconds kLongest = 601'000'000'000;
constexpr std::string_view kNics[] = {"nics/one", "nics/two"};
constexpr std::string_view kStates[] = {"server ", "direct ", "preparing-direct ", "preparing-server "};

std::string_view Word(std::string_view& text) {
  const std::string_view word = text.substr(0, text.find(' '));
  text.remove_prefix(std::min(text.size(), word.size() + 1));
  return word;
}

uint32_t Number(std::string_view text) {
  uint32_t number = 0;
  (void)std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

class Fuzz {
 public:
  Fuzz() {
    for (size_t i = 0; i < std::size(kNics); ++i) fake::RegisterNic(std::string(kNics[i]), &nics_[i]);
    world_.TeachArp();
  }
  ~Fuzz() {
    for (std::string_view name : kNics) fake::RegisterNic(std::string(name), nullptr);
  }

  void Run(std::string_view script) {
    for (size_t lines = 0; !script.empty() && lines < kMaxLines; ++lines) {
      const std::string_view line = script.substr(0, script.find('\n'));
      script.remove_prefix(std::min(script.size(), line.size() + 1));
      Line(line);
      world_.Turn(2);
      Check();
    }
    // An honest server, and time enough for any deadline (600 s): of the change under way, and of the last
    // one asked for. On the wire it is never quiet.
    for (Nanoseconds by : {Nanoseconds{0}, kLongest, kLongest, kLongest}) {
      world_.Advance(by);
      for (int i = 0; i < 4; ++i) {
        for (fake::FakeNic& nic : nics_) nic.Inject(MakeUdp(4000, 9, {}));
        if (world_.server().active()) world_.TakeSent();
        world_.Advance(ModeSwitch::kQuiet / 2);
      }
    }
    const Mode mode = world_.stack().mode().mode();
    FUZZ_CHECK(mode == Mode::kServer || mode == Mode::kDirect);
  }

 private:
  void Line(std::string_view text) {
    const std::string_view what = Word(text);
    if (what == "mode") {
      if (text.size() <= 1024) world_.world().Write(world_.Key("control/mode"), std::string(text));
      world_.world().RunUntilIdle();
    } else if (what == "nic") {
      Device device = {};
      device.kind = DeviceKind::kTap;
      device.mtu = 1500;
      const std::string_view name = kNics[text == kNics[1]];
      std::memcpy(device.name, name.data(), name.size());
      if (!world_.world().HoldsDevice(TestWorld::kGuest, name))
        world_.world().GiveDevice(TestWorld::kGuest, device);
    } else if (what == "take" || what == "peek") {
      if (world_.server().active()) world_.TakeSent(what == "take");
    } else if (what == "advance") {
      world_.Advance(Nanoseconds{Number(text) % 100'000} * 1'000'000);
    } else if (what == "room") {
      for (fake::FakeNic& nic : nics_) nic.SetRoom(Number(text));
    } else if (what == "send") {
      // Frames from the other side of a NIC, and something for the guest to answer.
      nics_[Number(text) % 2].Inject(MakeUdp(4000, 9, Bytes(Number(text) % 1400)));
    } else if (what == "reply") {
      channel::ControlMessage message = {};
      char bytes[2 * sizeof(message)] = {};
      std::memcpy(bytes, text.data() ? text.data() : "", std::min(text.size(), sizeof(bytes)));
      for (size_t i = 0; i < sizeof(message); ++i) {
        uint8_t byte = 0;
        (void)std::from_chars(bytes + 2 * i, bytes + 2 * i + 2, byte, 16);
        reinterpret_cast<uint8_t*>(&message)[i] = byte;
      }
      if (!world_.server().active()) return;
      (void)world_.server().receive(0).PutControl(message);
      if (world_.server().receive(0).Publish()) world_.server().Signal(0);
    }
  }

  void Check() {
    const std::string said = world_.DataMode();
    FUZZ_CHECK(std::any_of(std::begin(kStates), std::end(kStates),
                           [&](std::string_view state) { return said.starts_with(state); }));
    FUZZ_CHECK(world_.world().violations() == 0);
  }

  fake::FakeNic nics_[std::size(kNics)] = {fake::FakeNic(TestWorld::kGuestMac),
                                           fake::FakeNic(TestWorld::kGuestMac)};
  TestWorld world_;
};

}  // namespace
}  // namespace librettos::guest

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  librettos::guest::Fuzz().Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
