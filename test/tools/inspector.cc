// A guest that looks at all it can see for what is not its own: its channel's memory, its NIC, the registry,
// and grants and doorbells of others, whose numbers it guesses.
//
//   inspector CANARY OWN [keep]        four bytes each, in hexadecimal
//
// Wherever the bytes of CANARY stand repeated, or something of another is open to it, it logs "inspector:
// FOUND ...". Of OWN it says once that it is there: so it is known that it would be found. It tells how often
// it has looked. It sends the shortest frames that there are, and changes its mode as it is told; with `keep`
// it keeps the descriptor of a NIC that it gives back, and reads on. Embedded mode only.
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "guest/channel/guest_end.h"
#include "guest/channel/text.h"
#include "guest/platform/platform.h"
#include "test/tools/region_tap.h"

namespace librettos {
namespace {

using channel::GuestEnd;
using channel::Text;

constexpr Nanoseconds kPeriod = 50'000'000;
constexpr size_t kEnough = 8;  // So many bytes of a repeated word in a row are no accident.
constexpr uint32_t kGuessedDomains = 64, kGuessedNumbers = 8;
constexpr uint32_t kFrameBytes = 42;

// Four bytes that stand repeated, from any of them on.
class Canary {
 public:
  explicit Canary(std::string_view hexadecimal) {
    uint32_t word = 0;
    std::from_chars(hexadecimal.data(), hexadecimal.data() + hexadecimal.size(), word, 16);
    for (size_t i = 0; i < sizeof(pattern_); ++i)
      pattern_[i] = static_cast<std::byte>(word >> (24 - i % 4 * 8));
  }
  bool In(std::span<const std::byte> memory) const {
    for (size_t i = 0; i < 4; ++i) {
      if (memmem(memory.data(), memory.size(), pattern_ + i, kEnough)) return true;
    }
    return false;
  }

 private:
  std::byte pattern_[kEnough + 4];
};

void Found(std::string_view where, uint32_t number = 0) {
  Log(Text().Add("inspector: FOUND ").Add(where).Add(" ").Add(number).view());
}

class Inspector final : public channel::GuestEndObserver,
                        private RegistryObserver,
                        private DeviceObserver,
                        private MapObserver,
                        private BindObserver {
 public:
  Inspector(Platform& real, std::string_view canary, std::string_view own, bool keep)
      : platform_(real),
        canary_(canary),
        own_(own),
        keep_(keep),
        base_(Text().Add("/local/domain/").Add(real.self())) {}

  bool Start() {
    const Text vif = Text().Add(base_.view()).Add("/device/vif/0");
    Result<GuestEnd*> end = GuestEnd::Create(platform_, vif.view(), channel::Geometry(), this);
    if (!end.ok()) return false;
    end_ = *end;
    const std::span<const std::byte> memory = platform_.region().bytes();
    if (std::any_of(memory.begin() + 4096, memory.end(),
                    [](std::byte byte) { return byte != std::byte{}; })) {
      Found("something in memory that is new");
    }
    platform_.devices().SetObserver(this);
    PublishMode("server", "0");
    (void)platform_.registry().Watch(Text().Add(base_.view()).Add("/control/mode").view(), this);
    (void)platform_.registry().Watch(Text().Add(vif.view()).Add("/mac").view(), this);
    return true;
  }

  void Run() {
    Log("inspector: begins");
    for (uint32_t looks = 0; !platform_.loop().stopping(); ++looks) {
      const Nanoseconds until = Now() + kPeriod;
      while (Now() < until) platform_.loop().Wait(until);
      if (!keep_) Guess(looks);  // Reports on one domain are limited: these would hide the other.
      Send();
      Drain();
      ReadNic();
      const std::span<const std::byte> memory = platform_.region().bytes();
      if (canary_.In(memory)) Found("the canary in its channel");
      if (own_.In(memory)) own_seen_ = true;
      if (own_seen_ && !own_told_) Log("inspector: has what was sent to it");
      own_told_ = own_seen_;
      if (looks % 10 == 0) Log(Text().Add("inspector: looked ").Add(looks).view());
    }
  }

 private:
  void OnChannelEvent() override {}
  void OnServerChanged(DomainId, uint32_t) override {}

  // ---- Others' things, a few at a time
  void Guess(uint32_t round) {
    const DomainId domain = round % kGuessedDomains;
    if (domain == platform_.self()) return;
    if (round == 1) (void)platform_.registry().Watch("/local/domain", this);
    if (round < kGuessedDomains) Pry(domain);
    for (uint32_t number = 1; number <= kGuessedNumbers; ++number) {
      platform_.Map(domain, number, kPageSize, number % 2 != 0, this);
      platform_.Bind(domain, number, this);
    }
  }
  void Pry(DomainId domain) {
    const Text other = Text().Add("/local/domain/").Add(domain);
    for (const char* name : {"", "/device/vif/0/frontend", "/backend/vif", "/control", "/data", "/name"}) {
      (void)platform_.registry().Watch(Text().Add(other.view()).Add(name).view(), this);
    }
    (void)platform_.registry().Publish(Text().Add(other.view()).Add("/data/mode").view(), "1");
  }
  void OnMapped(Result<Mapping*> mapping) override {
    if (!mapping.ok()) return;
    Found("memory that it can map");
    (*mapping)->Unmap();
  }
  void OnBound(Result<EventPort*> port) override {
    if (!port.ok()) return;
    Found("a doorbell that it can bind");
    (*port)->Close();
  }

  // ---- Registry
  void OnKey(std::string_view path, std::string_view value, bool present) override {
    if (!present) return;
    if (canary_.In(std::as_bytes(std::span(value)))) Found("the canary in a key");
    if (path.ends_with("/vif/0/mac")) TakeMac(value);
    if (path == Text().Add(base_.view()).Add("/control/mode").view()) return ChangeMode(value);
    if (path.starts_with(Text().Add(base_.view()).Add("/").view())) return;
    // Of its servers it may know how they stand to it.
    const Text mine = Text().Add("/backend/vif/").Add(platform_.self()).Add("/0/");
    if (path.find(mine.view()) == std::string_view::npos)
      Log(Text().Add("inspector: FOUND key ").Add(path).view());
  }
  void TakeMac(std::string_view text) {
    for (size_t i = 0; i < 6 && i * 3 + 2 <= text.size(); ++i) {
      uint8_t byte = 0;
      std::from_chars(text.data() + i * 3, text.data() + i * 3 + 2, byte, 16);
      mac_[i] = std::byte{byte};
    }
  }

  // ---- Frames
  void Send() {
    // An announcement of no address: everybody gets it.
    std::byte frame[kFrameBytes] = {};
    std::fill_n(frame, 6, std::byte{0xff});
    std::copy_n(mac_, 6, frame + 6);
    constexpr uint8_t kArp[] = {0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1};
    memcpy(frame + 12, kArp, sizeof(kArp));
    std::copy_n(mac_, 6, frame + 22);
    const Part part = {frame, kFrameBytes};
    (void)end_->transmit(0).Put({{&part, 1}, kFrameBytes, {}});
    if (end_->transmit(0).Publish()) end_->Signal(0);
  }
  void Drain() {
    while (end_->receive(0).Peek(received_)) {
      if (end_->receive(0).Commit(received_.entries)) end_->Signal(0);
    }
    if (end_->receive(0).violation() != channel::Violation::kNone) (void)end_->Renew();
  }

  // ---- NIC
  void OnDevice(const Device& device) override {
    device_ = device;
    GoDirect();
  }
  // Once it has its NIC and is told to, in any order.
  void GoDirect() {
    if (device_.descriptor >= 0 && !direct_.view().empty()) PublishMode("direct", direct_.view());
  }
  void ReadNic() {
    const int descriptor = kept_ >= 0 ? kept_ : device_.descriptor;
    if (descriptor < 0) return;
    for (ssize_t bytes; (bytes = read(descriptor, frame_, sizeof(frame_))) > 0;) {
      const std::span<const std::byte> frame(frame_, static_cast<size_t>(bytes));
      if (canary_.In(frame)) Found("the canary in its NIC");
      if (own_.In(frame)) Log("inspector: its NIC has what was sent to it");
    }
  }
  void ChangeMode(std::string_view value) {
    const bool direct = value.starts_with("direct ");
    value.remove_prefix(std::min(value.size(), value.find(' ') + 1));
    const std::string_view change = value.substr(0, value.find(' '));
    direct_ = Text().Add(direct ? change : "");
    if (direct) return GoDirect();
    if (device_.descriptor >= 0) {
      ReadNic();
      if (keep_ && kept_ < 0) kept_ = fcntl(device_.descriptor, F_DUPFD_CLOEXEC, 0);
      platform_.devices().Return(device_.name);
      device_.descriptor = -1;
    }
    PublishMode("server", change);
  }
  void PublishMode(std::string_view mode, std::string_view change) {
    const Text value = Text().Add(mode).Add(" ").Add(change).Add(" 0 0");
    (void)platform_.registry().Publish(Text().Add(base_.view()).Add("/data/mode").view(), value.view());
  }

  test::RegionTap platform_;
  const Canary canary_, own_;
  const bool keep_;
  const Text base_;
  GuestEnd* end_ = nullptr;
  std::byte mac_[6] = {};
  Device device_ = {.name = {}, .kind = DeviceKind::kTap, .descriptor = -1, .address = {}, .mtu = 0};
  int kept_ = -1;
  Text direct_;  // The change that it is told to make, if that is to direct mode.
  bool own_seen_ = false, own_told_ = false;
  channel::Received received_;
  std::byte frame_[kMaxFrameBytes];
};

}  // namespace

int DomainMain(Platform& platform) {
  const auto arguments = platform.arguments();
  if (arguments.size() < 2 || arguments.size() > 3) {
    Log("usage: inspector CANARY OWN [keep]");
    return 2;
  }
  static Inspector* const inspector =
      new Inspector(platform, arguments[0], arguments[1], arguments.size() == 3);
  if (!inspector->Start()) return 1;
  inspector->Run();
  return 0;
}

}  // namespace librettos
