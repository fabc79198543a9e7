// The domain's end of the control socket, with registry, devices, mappings and ports behind it, against a
// daemon that says anything: also one that was replaced, and between calls of the domain itself.
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <array>
#include <memory>
#include <vector>

#include "bazel/fuzz_input.h"
#include "guest/platform/process/test_daemon.h"

namespace librettos::process {
namespace {

constexpr int kMaxSteps = 64;
constexpr DomainId kSelf = 7;
constexpr std::string_view kPaths[] = {
    "/local/domain/7/control/shutdown", "/local/domain/7/data", "/local/domain/7/data/a",
    "/local/domain/7/data-a",           "/local/domain/8",      "/x"};

// Descriptors of the kinds that a daemon passes.
int Memory() {
  const int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  FUZZ_CHECK(ftruncate(fd, 8192) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
  return fd;
}
const std::array<int, 3>& Descriptors() {
  static const std::array<int, 3> all = {Memory(), eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                                         open("/dev/null", O_RDWR | O_CLOEXEC)};
  return all;
}

// One for all inputs, as making one costs most: each platform listens on a copy.
class Listening {
 public:
  Descriptor Copy() {
    // What the last input left in the queue.
    for (int fd; (fd = accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) close(fd);
    return Descriptor(fcntl(listening_.get(), F_DUPFD_CLOEXEC, 0));
  }
  Descriptor Connect() { return socket_.Connect(); }
  static Listening& Instance() {
    static Listening instance;
    return instance;
  }

 private:
  Listening() { fcntl(listening_.get(), F_SETFL, O_NONBLOCK); }
  ListeningSocket socket_;
  Descriptor listening_ = socket_.Take();
};

class Fuzz final : private RegistryObserver,
                   private DeviceObserver,
                   private MapObserver,
                   private BindObserver,
                   private Handler {
 public:
  explicit Fuzz(FuzzInput& input) : input_(input) {
    Connect();
    platform_.devices().SetObserver(this);
  }
  ~Fuzz() {
    platform_.devices().SetObserver(nullptr);
    for (std::string_view path : kPaths) platform_.registry().Unwatch(path, this);
    platform_.Cancel(static_cast<MapObserver*>(this));
    platform_.Cancel(static_cast<BindObserver*>(this));
    for (Mapping* mapping : mappings_) mapping->Unmap();
    for (EventPort* port : ports_) port->Close();
    for (Region* region : regions_) region->Release();
  }

  void Run() {
    for (int step = 0; step < kMaxSteps && !input_.empty(); ++step) {
      const uint8_t op = input_.U8();
      switch (op % 8) {
        case 0:
          Raw();
          break;
        case 1:
        case 2:
        case 3:
          Say();
          break;
        case 4:
          Connect();
          break;
        case 5:
          Turn();
          break;
        default:
          Call();
      }
    }
    Turn();
    FUZZ_CHECK(platform_.self() == kSelf);
  }

 private:
  void Connect() {
    daemon_ = std::make_unique<TestDaemon>(Listening::Instance().Connect());
    daemon_->Hello(kSelf);
    Turn();
  }
  // Without sleeping: somebody has something to do soon.
  void Turn() {
    for (int round = 0; round < 4; ++round) {
      platform_.process_loop().RunSoon(&nobody_);
      platform_.process_loop().Wait(0);
    }
    while (daemon_->Receive()) {
    }
  }
  std::string_view Path() { return kPaths[input_.U8() % std::size(kPaths)]; }
  std::vector<int> SomeDescriptors() {
    const uint8_t which = input_.U8();
    std::vector<int> some;
    for (uint8_t i = 0; i < which % 5; ++i)
      some.push_back(Descriptors()[(which / 5 + i) % Descriptors().size()]);
    return some;
  }

  void Raw() {
    const auto bytes = input_.Take(input_.U8());
    (void)daemon_->SendRaw(bytes.data(), bytes.size(), SomeDescriptors());
  }

  void Say() {
    OutMessage message{.type = static_cast<WireType>(1 + input_.U8() % 6)};
    message.id = input_.U8() % 16;
    message.number = message.type == WireType::kHello ? kSelf : input_.U8();
    message.a = input_.U8() % 16;
    message.b = input_.U16();
    const uint8_t kind = input_.U8();
    message.path = kind & 1 ? Path() : input_.Text(kind >> 2);
    message.value = kind & 2 ? input_.Text(input_.U8()) : std::string_view("\2\0\0\0\0\1", 6);
    const std::vector<int> descriptors = SomeDescriptors();
    for (size_t i = 0; i < std::min(descriptors.size(), kMaxDescriptors); ++i)
      message.descriptors[i] = descriptors[i];
    (void)daemon_->Send(message);
  }

  void Call() {
    const uint8_t what = input_.U8();
    switch (what % 12) {
      case 0:
        (void)platform_.registry().Publish(Path(), input_.Text(input_.U8()));
        break;
      case 1:
        platform_.registry().Remove(Path());
        break;
      case 2:
        (void)platform_.registry().Watch(Path(), this);
        break;
      case 3:
        platform_.registry().Unwatch(Path(), this);
        break;
      case 4:
        platform_.Map(8, input_.U8(), input_.U16(), what & 128, this);
        break;
      case 5:
        platform_.Bind(8, input_.U8(), this);
        break;
      case 6:
        platform_.Cancel(static_cast<MapObserver*>(this));
        break;
      case 7:
        platform_.Cancel(static_cast<BindObserver*>(this));
        break;
      case 8:
        if (Result<Region*> region = platform_.Allocate(4096); region.ok()) {
          regions_.push_back(*region);
          (void)(*region)->GrantTo(8, what & 128);
        }
        break;
      case 9:
        if (Result<EventPort*> port = platform_.Offer(8); port.ok()) ports_.push_back(*port);
        break;
      case 10:
        platform_.devices().Return(device_);
        break;
      default:
        if (!mappings_.empty()) mappings_.back()->Unmap(), mappings_.pop_back();
    }
  }

  // Observers that call back, as real ones do.
  void OnKey(std::string_view path, std::string_view value, bool present) override {
    FUZZ_CHECK(present || value.empty());
    if (value == "unwatch") platform_.registry().Unwatch(path, this);
    if (value == "watch") (void)platform_.registry().Watch(path, this);
  }
  void OnDevice(const Device& device) override {
    FUZZ_CHECK(memchr(device.name, 0, sizeof(device.name)));
    device_ = device.name;
    if (device.mtu % 2) platform_.devices().Return(device_);
  }
  void OnMapped(Result<Mapping*> mapping) override {
    if (!mapping.ok()) return;
    mappings_.push_back(*mapping);
    // All of it can be read.
    for (std::byte byte : (*mapping)->bytes()) sum_ = sum_ + static_cast<unsigned>(byte);
  }
  void OnBound(Result<EventPort*> port) override {
    if (!port.ok()) return;
    ports_.push_back(*port);
    (*port)->SetHandler(this);
    (*port)->Signal();
  }
  void OnEvent() override {}

  FuzzInput& input_;
  ProcessPlatform platform_{Listening::Instance().Copy(), "/nonexistent", {}};
  std::unique_ptr<TestDaemon> daemon_;
  struct Nobody final : Handler {
    void OnEvent() override {}
  } nobody_;
  std::string device_ = "none";
  std::vector<Mapping*> mappings_;
  std::vector<EventPort*> ports_;
  std::vector<Region*> regions_;
  volatile unsigned sum_ = 0;
};

}  // namespace
}  // namespace librettos::process

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  librettos::FuzzInput input(data, size);
  librettos::process::Fuzz(input).Run();
  return 0;
}
