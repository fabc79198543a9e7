// A domain for main_test: shows that a static binary has all of its platform below the sandbox.
#include <fcntl.h>
#include <unistd.h>

#include <cstring>

#include "guest/platform/platform.h"

namespace librettos {

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
