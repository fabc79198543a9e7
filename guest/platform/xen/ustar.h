// The files of a domain: an archive in the ustar format (POSIX.1-2017, pax, "ustar Interchange Format") that
// some device holds.
//
// Indexed once, then read on demand. Directories need no entry of their own. Entries that are neither files
// nor directories (links, devices, extended headers) are passed over. The archive is made by the host, and
// untrusted like whatever is read from a device: its end, sizes, checksums and paths are checked.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "guest/platform/platform.h"

namespace librettos::xen {

// Where the bytes are. May block.
class ByteSource {
 public:
  virtual uint64_t size() const = 0;
  // All of `out`, which lies within size().
  virtual Status Read(uint64_t offset, std::span<std::byte> out) = 0;

 protected:
  ~ByteSource() = default;
};

class Ustar final : public Files {
 public:
  static constexpr size_t kMaxEntries = 8192;
  static constexpr size_t kMaxOpen = 256;

  // Without Index() there are no files.
  Ustar() = default;
  // Reads the archive in `source`, which outlives this. kProtocol: no archive, or one that is cut off; what
  // stood before that is there all the same. kExhausted: more than kMaxEntries.
  Status Index(ByteSource* source);

  Result<int> Open(std::string_view path, FileInfo* info) override;
  Result<size_t> ReadAt(int handle, uint64_t offset, std::span<std::byte> out) override;
  void Close(int handle) override;
  Status List(std::string_view path, void (*entry)(void*, std::string_view, const FileInfo&),
              void* context) override;

 private:
  struct Entry {
    std::string path;
    uint64_t offset;
    FileInfo info;
  };
  struct Handle {
    bool open = false;
    bool directory = false;
    uint64_t offset = 0;
    uint64_t size = 0;
  };

  Status ReadEntries();
  void Sort();
  const Entry* Find(std::string_view path) const;
  // The first entry below a directory, or the end.
  std::vector<Entry>::const_iterator Below(std::string_view directory) const;

  ByteSource* source_ = nullptr;
  std::vector<Entry> entries_;  // By path.
  std::vector<Handle> handles_;
};

}  // namespace librettos::xen
