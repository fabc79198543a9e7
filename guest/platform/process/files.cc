#include "guest/platform/process/files.h"

#include <dirent.h>
#include <errno.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

namespace librettos::process {
namespace {

constexpr size_t kMaxPath = 1024;

Error FromErrno(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return Error::kNotFound;
    case EACCES:
    case EPERM:
    case EXDEV:  // It leads out of the directory.
    case ELOOP:
      return Error::kPermission;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return Error::kExhausted;
    case ENAMETOOLONG:
    case EINVAL:
      return Error::kInvalidArgument;
    default:
      return Error::kIo;
  }
}

}  // namespace

ProcessFiles::ProcessFiles(const char* directory)
    : root_(open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC)) {}

Result<Descriptor> ProcessFiles::OpenBelow(std::string_view path, bool directory) {
  if (!root_.valid()) return Error::kNotFound;
  if (path.empty()) path = ".";
  char text[kMaxPath + 1];
  if (path.size() > kMaxPath || path.find('\0') != std::string_view::npos) return Error::kInvalidArgument;
  memcpy(text, path.data(), path.size());
  text[path.size()] = 0;
  open_how how{};
  // Not blocking: a FIFO among the files must not stop the loop.
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | (directory ? O_DIRECTORY : 0);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  for (int attempt = 0; attempt < 8; ++attempt) {
    const long fd = syscall(SYS_openat2, root_.get(), text, &how, sizeof(how));
    if (fd >= 0) return Descriptor(static_cast<int>(fd));
    // EAGAIN: something was renamed on the way, and the kernel could not be sure.
    if (errno != EAGAIN && errno != EINTR) return FromErrno(errno);
  }
  return Error::kAgain;
}

Result<int> ProcessFiles::Open(std::string_view path, FileInfo* info) {
  Result<Descriptor> file = OpenBelow(path, false);
  if (!file.ok()) return file.error();
  struct stat status;
  if (fstat(file->get(), &status) != 0) return FromErrno(errno);
  if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) return Error::kPermission;
  size_t handle = 0;
  while (handle < open_.size() && open_[handle].valid()) ++handle;
  if (handle == kMaxOpen) return Error::kExhausted;
  if (handle == open_.size()) open_.emplace_back();
  open_[handle] = std::move(*file);
  if (info)
    *info = {S_ISDIR(status.st_mode) ? 0 : static_cast<uint64_t>(status.st_size), S_ISDIR(status.st_mode)};
  return static_cast<int>(handle);
}

Result<size_t> ProcessFiles::ReadAt(int handle, uint64_t offset, std::span<std::byte> out) {
  if (handle < 0 || static_cast<size_t>(handle) >= open_.size() || !open_[handle].valid() ||
      offset > INT64_MAX) {
    return Error::kInvalidArgument;
  }
  for (;;) {
    const ssize_t got = pread(open_[handle].get(), out.data(), out.size(), static_cast<off_t>(offset));
    if (got >= 0) return static_cast<size_t>(got);
    if (errno == EISDIR) return Error::kInvalidArgument;
    if (errno != EINTR) return Error::kIo;
  }
}

void ProcessFiles::Close(int handle) {
  if (handle >= 0 && static_cast<size_t>(handle) < open_.size()) open_[handle].Reset();
}

Status ProcessFiles::List(std::string_view path, void (*entry)(void*, std::string_view, const FileInfo&),
                          void* context) {
  Result<Descriptor> directory = OpenBelow(path, true);
  if (!directory.ok()) return directory.error();
  DIR* listing = fdopendir(directory->get());
  if (!listing) return FromErrno(errno);
  const int fd = directory->Release();  // The listing's from now on.
  while (const dirent* next = readdir(listing)) {
    const std::string_view name = next->d_name;
    if (name == "." || name == "..") continue;
    struct stat status;
    if (fstatat(fd, next->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) continue;
    const bool is_directory = S_ISDIR(status.st_mode);
    entry(context, name, {is_directory ? 0 : static_cast<uint64_t>(status.st_size), is_directory});
  }
  closedir(listing);
  return Status();
}

}  // namespace librettos::process
