// A platform with files and arguments, and nothing else: enough for the programs when their
// sockets are the kernel's. For tests only.
#include <cstdio>
#include <string_view>
#include <vector>

#include "guest/apps/testing/directory_files.h"
#include "guest/platform/platform.h"

namespace librettos {

namespace {

class KernelPlatform final : public Platform {
 public:
  KernelPlatform(const char* root, std::vector<std::string_view> arguments)
      : files_(root), arguments_(std::move(arguments)) {}
  virtual ~KernelPlatform() = default;

  DomainId self() const override { return 1; }
  std::span<const std::string_view> arguments() const override { return arguments_; }
  Files& files() override { return files_; }
  Loop& loop() override { Panic("no loop here"); }
  Registry& registry() override { Panic("no registry here"); }
  Devices& devices() override { Panic("no devices here"); }
  Result<Region*> Allocate(size_t) override { return Error::kUnsupported; }
  void Map(DomainId, GrantRef, size_t, bool, MapObserver*) override { Panic("no grants here"); }
  Result<EventPort*> Offer(DomainId) override { return Error::kUnsupported; }
  void Bind(DomainId, PortNumber, BindObserver*) override { Panic("no events here"); }
  void Cancel(MapObserver*) override {}
  void Cancel(BindObserver*) override {}

 private:
  apps::DirectoryFiles files_;
  std::vector<std::string_view> arguments_;
};

}  // namespace
}  // namespace librettos

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s DIRECTORY PROGRAM [OPTION]...\n", argv[0]);
    return 2;
  }
  librettos::KernelPlatform platform(argv[1], std::vector<std::string_view>(argv + 2, argv + argc));
  return librettos::DomainMain(platform);
}
