// The files that the domain was given: a directory opened at the start, never left by any path.
#pragma once

#include <vector>

#include "guest/platform/platform.h"
#include "guest/platform/process/descriptor.h"

namespace librettos::process {

class ProcessFiles final : public Files {
 public:
  static constexpr size_t kMaxOpen = 256;

  // A directory that is not there: every path is kNotFound.
  explicit ProcessFiles(const char* directory);

  Result<int> Open(std::string_view path, FileInfo* info) override;
  Result<size_t> ReadAt(int handle, uint64_t offset, std::span<std::byte> out) override;
  void Close(int handle) override;
  Status List(std::string_view path, void (*entry)(void*, std::string_view, const FileInfo&),
              void* context) override;

 private:
  Result<Descriptor> OpenBelow(std::string_view path, bool directory);

  Descriptor root_;
  std::vector<Descriptor> open_;  // By handle.
};

}  // namespace librettos::process
