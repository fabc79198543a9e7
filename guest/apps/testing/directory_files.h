// Files over a directory of the host. For tests only: it trusts the directory's links.
#pragma once

#include <string>

#include "guest/platform/platform.h"

namespace librettos::apps {

class DirectoryFiles final : public Files {
 public:
  explicit DirectoryFiles(std::string root) : root_(std::move(root)) {}
  virtual ~DirectoryFiles() = default;

  Result<int> Open(std::string_view path, FileInfo* info) override;
  Result<size_t> ReadAt(int handle, uint64_t offset, std::span<std::byte> out) override;
  void Close(int handle) override;
  Status List(std::string_view path,
              void (*entry)(void* context, std::string_view name, const FileInfo& info),
              void* context) override;

 private:
  const std::string root_;
};

}  // namespace librettos::apps
