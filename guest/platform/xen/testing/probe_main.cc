// A domain that tries each part of the platform, asked by keys below control/probe, and answers by keys below
// data/probe; test/xen drives it as domain 0.
//
//   asked                                  answered
//   (nothing)                              up, sleep <ms>, cpu1 <counting or error>, files <count> <bytes>
//   <sum> echo/<key> <value>                     echo "<key> <value>", or "<key> gone" peer <domain> offer
//   "<grant> <port> <bytes>": memory with a pattern, and a doorbell map "<domain> <grant> <port> <bytes>"
//   mapped "ok" or why not; rung "<round trips> <ns each>" unmap; revoke                          unmapped;
//   revoked return                                 (gives back what devices it has) panic (ends the domain
//   abnormally)
// Given the n-th NIC: nic "<n> <device and vendor> <BAR 0 bytes> <vectors>"; of an 82574 also interrupt
// "<n>".
#include <atomic>
#include <charconv>
#include <string>

#include "guest/platform/pci.h"
#include "guest/platform/platform.h"
#include "guest/platform/xen/cpu.h"

namespace librettos {
namespace {

constexpr size_t kBytes = size_t{5} << 20;  // More pages than one directory page names.
constexpr int kRoundTrips = 1000;
constexpr Nanoseconds kMillisecond = 1000000;

std::atomic<uint64_t> counted{0};

constexpr uint64_t kCounts = 1000000;

void Count(void*) {
  while (counted.fetch_add(1, std::memory_order_relaxed) < kCounts) {
  }
}

uint64_t PatternAt(size_t word) { return word * 0x9e3779b97f4a7c15; }

std::span<uint64_t> Words(std::span<std::byte> bytes) {
  return {reinterpret_cast<uint64_t*>(bytes.data()), bytes.size() / 8};
}

// Up to four numbers between spaces; what is missing is 0.
struct Numbers {
  explicit Numbers(std::string_view text) {
    for (uint64_t& number : value) {
      const auto end = std::from_chars(text.data(), text.data() + text.size(), number).ptr;
      text.remove_prefix(static_cast<size_t>(end - text.data()));
      if (text.starts_with(' ')) text.remove_prefix(1);
    }
  }
  uint64_t value[4] = {};
};

std::string Hex(uint32_t value) {
  char text[8];
  return {text, std::to_chars(text, text + 8, value, 16).ptr};
}

class Probe final : RegistryObserver, MapObserver, BindObserver, DeviceObserver, Handler {
 public:
  explicit Probe(Platform& platform)
      : platform_(platform), base_("/local/domain/" + std::to_string(platform.self())) {}

  int Run() {
    TrySleep();
    TryCpu();
    TryFiles();
    if (!platform_.registry().Watch(base_ + "/control/probe", this).ok()) return 1;
    platform_.devices().SetObserver(this);
    Answer("up", "1");
    while (!platform_.loop().stopping()) platform_.loop().Wait(Now() + 1000 * kMillisecond);
    return 3;
  }

 private:
  void Answer(std::string_view key, std::string_view value) {
    const std::string path = base_ + "/data/probe/" + std::string(key);
    if (!platform_.registry().Publish(path, value).ok()) Log("probe: an answer cannot be published");
  }

  // ---- By itself
  void TrySleep() {
    const Nanoseconds begin = Now();
    while (Now() < begin + 50 * kMillisecond) platform_.loop().Wait(begin + 50 * kMillisecond);
    Answer("sleep", std::to_string((Now() - begin) / kMillisecond));
  }

  void TryCpu() {
    const Status started = xen::StartCpu(1, &Count, nullptr);
    if (!started.ok()) return Answer("cpu1", ToString(started.error()));
    const Nanoseconds deadline = Now() + 10000 * kMillisecond;
    while (counted.load(std::memory_order_relaxed) < 1000 && Now() < deadline)
      platform_.loop().Wait(Now() + 1);
    Answer("cpu1", counted.load(std::memory_order_relaxed) < 1000 ? "silent" : "counting");
  }

  void TryFiles() {
    files_ = bytes_ = sum_ = 0;
    AddFiles("");
    Answer("files", std::to_string(files_) + " " + std::to_string(bytes_) + " " + std::to_string(sum_));
  }

  void AddFiles(const std::string& directory) {
    struct Context {
      Probe* probe;
      const std::string* directory;
    } context{this, &directory};
    (void)platform_.files().List(
        directory,
        [](void* all, std::string_view name, const FileInfo& info) {
          auto& [probe, above] = *static_cast<Context*>(all);
          const std::string path = (above->empty() ? "" : *above + "/") + std::string(name);
          info.directory ? probe->AddFiles(path) : probe->AddFile(path);
        },
        &context);
  }

  void AddFile(const std::string& path) {
    auto handle = platform_.files().Open(path, nullptr);
    if (!handle.ok()) return;
    ++files_;
    std::byte buffer[4000];
    for (uint64_t offset = 0;;) {
      auto got = platform_.files().ReadAt(*handle, offset, buffer);
      if (!got.ok() || *got == 0) break;
      for (const std::byte byte : std::span(buffer).first(*got)) sum_ += static_cast<uint8_t>(byte);
      offset += *got;
      bytes_ += *got;
    }
    platform_.files().Close(*handle);
  }

  // ---- Asked
  void OnKey(std::string_view path, std::string_view value, bool present) override {
    const std::string_view key = path.substr(base_.size() + std::string_view("/control/probe/").size());
    if (key.starts_with("echo/")) {
      return Answer("echo", std::string(key.substr(5)) + " " + std::string(present ? value : "gone"));
    }
    if (!present) return;
    const Numbers numbers(value);
    if (key == "peer") Offer(static_cast<DomainId>(numbers.value[0]));
    if (key == "map") {
      owner_ = static_cast<DomainId>(numbers.value[0]);
      owners_port_ = static_cast<PortNumber>(numbers.value[2]);
      platform_.Map(owner_, static_cast<GrantRef>(numbers.value[1]), numbers.value[3], true, this);
    }
    if (key == "unmap" && mapping_) {
      mapping_->Unmap();
      mapping_ = nullptr;
      Answer("unmapped", "1");
    }
    if (key == "revoke" && region_) {
      region_->Revoke(grant_);
      region_->Release();
      region_ = nullptr;
      Answer("revoked", "1");
    }
    if (key == "return") platform_.devices().Return(nic_.name);
    if (key == "panic") Panic("the probe was asked to");
  }

  void Offer(DomainId peer) {
    auto region = platform_.Allocate(kBytes);
    if (!region.ok()) return Answer("offer", ToString(region.error()));
    region_ = *region;
    const auto words = Words(region_->bytes());
    for (size_t i = 0; i < words.size(); ++i) words[i] = PatternAt(i);
    auto grant = region_->GrantTo(peer, true);
    auto port = platform_.Offer(peer);
    if (!grant.ok() || !port.ok()) return Answer("offer", "refused");
    grant_ = *grant;
    port_ = *port;
    port_->SetHandler(this);
    Answer("offer",
           std::to_string(grant_) + " " + std::to_string(port_->number()) + " " + std::to_string(kBytes));
  }

  void OnMapped(Result<Mapping*> mapping) override {
    if (!mapping.ok()) return Answer("mapped", ToString(mapping.error()));
    mapping_ = *mapping;
    const auto words = Words(mapping_->bytes());
    for (size_t i = 0; i < words.size(); ++i) {
      if (words[i] != PatternAt(i)) return Answer("mapped", "wrong content at " + std::to_string(i));
      words[i] = ~words[i];
    }
    Answer("mapped", "ok");
    platform_.Bind(owner_, owners_port_, this);
  }

  void OnBound(Result<EventPort*> port) override {
    if (!port.ok()) return Answer("rung", ToString(port.error()));
    port_ = *port;
    port_->SetHandler(this);
    began_ = Now();
    port_->Signal();
  }

  // The doorbell: who offered it answers, who bound it counts.
  void OnEvent() override {
    if (!mapping_) {
      if (region_ && !seen_) {
        seen_ = true;
        const auto words = Words(region_->bytes());
        for (size_t i = 0; i < words.size(); ++i) {
          if (words[i] != ~PatternAt(i)) return Answer("seen", "wrong content at " + std::to_string(i));
        }
        Answer("seen", "ok");
      }
      return port_->Signal();
    }
    if (++rung_ < kRoundTrips) return port_->Signal();
    if (rung_ == kRoundTrips) {
      Answer("rung", std::to_string(rung_) + " " + std::to_string((Now() - began_) / kRoundTrips));
    }
  }

  // ---- Given
  void OnDevice(const Device& device) override {
    nic_ = device;
    PciFunction& function = *device.function;
    const uint32_t id = function.ReadConfig(0, 4);
    const uint64_t bytes = [&] {
      auto size = function.OpenBar(0);
      return size.ok() ? *size : 0;
    }();
    auto vectors = function.EnableInterrupts(2);
    Answer("nic", std::to_string(++nics_) + " " + Hex(id) + " " + std::to_string(bytes) + " " +
                      std::to_string(vectors.ok() ? *vectors : 0));
    if (id == 0x10d38086 && vectors.ok()) RaiseInterrupt(function);
  }

  // Intel 82574: registers CTRL, ICS, IMS, IMC and IVAR (data sheet, chapter 10). Bit 20: receive queue 0.
  void RaiseInterrupt(PciFunction& function) {
    constexpr uint32_t kSet = 0xc8, kMask = 0xd0, kClear = 0xd8, kVectors = 0xe4, kQueue0 = 1u << 20;
    constexpr uint32_t kControl = 0, kReset = 1u << 26;
    function.SetInterruptHandler(0, &interrupt_);
    function.Write32(0, kControl, kReset);
    function.Write32(0, kClear, ~0u);
    function.SetBusMaster(true);       // An interrupt is a write to memory.
    function.Write32(0, kVectors, 8);  // Queue 0 to vector 0; valid.
    function.Write32(0, kMask, kQueue0);
    function.Write32(0, kSet, kQueue0);
  }

  struct Interrupt final : Handler {
    explicit Interrupt(Probe& owner) : probe(owner) {}
    void OnEvent() override { probe.Answer("interrupt", std::to_string(probe.nics_)); }
    Probe& probe;
  };

  Platform& platform_;
  const std::string base_;
  uint64_t files_ = 0, bytes_ = 0, sum_ = 0;
  Region* region_ = nullptr;
  GrantRef grant_ = 0;
  EventPort* port_ = nullptr;
  bool seen_ = false;
  Mapping* mapping_ = nullptr;
  DomainId owner_ = 0;
  PortNumber owners_port_ = 0;
  Nanoseconds began_ = 0;
  int rung_ = 0;
  Device nic_ = {};
  int nics_ = 0;
  Interrupt interrupt_{*this};
};

}  // namespace

int DomainMain(Platform& platform) {
  Probe probe(platform);
  return probe.Run();
}

}  // namespace librettos
