// A domain for main_test: shows that a static binary has all of its platform below the sandbox.
#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <vector>

#include "guest/platform/platform.h"

namespace librettos {

namespace {

// On the second CPU: memory, and a sleep that the first one ends.
class Second final : public Work {
 public:
  explicit Second(Cpus& cpus) : cpus_(cpus) {}
  void Run() override {
    // Grows and shrinks what it allocates from.
    for (int round = 0; round < 3; ++round) {
      std::vector<std::unique_ptr<char[]>> blocks;
      for (int i = 0; i < 200; ++i) blocks.emplace_back(new char[100 << 10]);
    }
    for (;;) {
      if (asked.load()) break;
      cpus_.Sleep(1, Now() + 3600'000'000'000);
    }
    done.store(true);
    cpus_.Wake(0);
  }
  std::atomic<bool> asked{false}, done{false};

 private:
  Cpus& cpus_;
};

}  // namespace

int DomainMain(Platform& platform) {
  const auto arguments = platform.arguments();
  if (arguments.size() != 2 || arguments[0] != "one") return 10;
  if (arguments[1] == "forbidden") return open("/etc/passwd", O_RDONLY) >= 0 ? 11 : 12;
  if (arguments[1] == "panic") Panic("as asked");
  std::byte random[16] = {};
  Random(random);
  Result<Region*> region = platform.Allocate(64 << 10);
  if (!region.ok()) return 13;
  std::memset((*region)->bytes().data(), 1, (*region)->bytes().size());
  if (!(*region)->GrantTo(99, true).ok()) return 14;
  Result<EventPort*> port = platform.Offer(99);
  if (!port.ok()) return 15;
  FileInfo info;
  if (platform.files().Open("nothing-of-that-name", &info).error() != Error::kNotFound) return 16;
  if (!platform.registry().Publish("/local/domain/7/data/ready", "1").ok()) return 17;
  Second second(platform.cpus());
  if (platform.cpus().count() != 2 || !platform.cpus().Start(1, &second).ok()) return 18;
  second.asked.store(true);
  platform.cpus().Wake(1);
  while (!second.done.load()) platform.loop().Wait(Now() + 3600'000'000'000);
  Log("probe: ready");
  while (!platform.loop().stopping()) platform.loop().Wait(Now() + 1000000000);
  // Large allocations, so that malloc's own system calls are seen too.
  for (size_t bytes = 1 << 10; bytes < 64 << 20; bytes *= 4) {
    auto* memory = new char[bytes];
    std::memset(memory, 1, bytes);
    delete[] memory;
  }
  (*port)->Close();
  (*region)->Release();
  return 42;
}

}  // namespace librettos
