#include "guest/apps/testing/directory_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace librettos::apps {
namespace {

Error FromErrno(int error) {
  if (error == ENOENT || error == ENOTDIR || error == ENAMETOOLONG) return Error::kNotFound;
  if (error == EACCES) return Error::kPermission;
  if (error == EMFILE || error == ENFILE) return Error::kExhausted;
  return Error::kIo;
}

}  // namespace

Result<int> DirectoryFiles::Open(std::string_view path, FileInfo* info) {
  const int descriptor = open((root_ + "/" + std::string(path)).c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return FromErrno(errno);
  struct stat status;
  if (fstat(descriptor, &status) != 0) {
    close(descriptor);
    return Error::kIo;
  }
  *info = {static_cast<uint64_t>(status.st_size), S_ISDIR(status.st_mode)};
  return descriptor;
}

Result<size_t> DirectoryFiles::ReadAt(int handle, uint64_t offset, std::span<std::byte> out) {
  const ssize_t got = pread(handle, out.data(), out.size(), static_cast<off_t>(offset));
  if (got < 0) return FromErrno(errno);
  return static_cast<size_t>(got);
}

void DirectoryFiles::Close(int handle) { close(handle); }

Status DirectoryFiles::List(std::string_view path,
                            void (*entry)(void* context, std::string_view name, const FileInfo& info),
                            void* context) {
  const std::string directory = root_ + "/" + std::string(path);
  DIR* stream = opendir(directory.c_str());
  if (stream == nullptr) return FromErrno(errno);
  while (const dirent* found = readdir(stream)) {
    struct stat status;
    if (stat((directory + "/" + found->d_name).c_str(), &status) != 0) continue;
    entry(context, found->d_name, {static_cast<uint64_t>(status.st_size), S_ISDIR(status.st_mode)});
  }
  closedir(stream);
  return {};
}

}  // namespace librettos::apps
