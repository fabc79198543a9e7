#include "hypervisor/xen/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace librettos::xen {
namespace {

namespace fs = std::filesystem;

constexpr int kBlockBytes = 512;  // POSIX.1-1988 ustar; also the size of a disk's sector.
constexpr size_t kCopyBytes = 256 << 10;

struct ArchiveDeleter {
  void operator()(struct archive* archive) const { archive_write_free(archive); }
};
struct EntryDeleter {
  void operator()(struct archive_entry* entry) const { archive_entry_free(entry); }
};

absl::Status Failure(struct archive* archive, const std::string& name) {
  const char* text = archive_error_string(archive);
  return absl::InvalidArgumentError(
      absl::StrCat("\"", name, "\" cannot be archived: ", text != nullptr ? text : "unknown error"));
}

// Whatever happens to the file meanwhile: exactly the size that the header promised, padded with zeros.
absl::Status CopyContent(struct archive* archive, int file, uint64_t size, const std::string& name) {
  std::vector<char> buffer(kCopyBytes);
  for (uint64_t left = size; left > 0;) {
    const size_t want = static_cast<size_t>(std::min<uint64_t>(left, buffer.size()));
    ssize_t got = read(file, buffer.data(), want);
    if (got < 0) return absl::UnavailableError(absl::StrCat("cannot read ", name, ": ", strerror(errno)));
    if (got == 0) {
      memset(buffer.data(), 0, want);
      got = static_cast<ssize_t>(want);
    }
    if (archive_write_data(archive, buffer.data(), static_cast<size_t>(got)) != got) {
      return Failure(archive, name);
    }
    left -= static_cast<uint64_t>(got);
  }
  return absl::OkStatus();
}

absl::Status Add(struct archive* archive, const fs::path& root, const fs::path& path) {
  const std::string name = path.lexically_relative(root).string();
  std::error_code error;
  fs::path source = path;
  if (fs::is_symlink(fs::symlink_status(path, error))) {
    source = fs::canonical(path, error);
    if (error || !absl::StartsWith(source.string(), root.string() + "/")) return absl::OkStatus();
  }
  const int file = open(source.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
  if (file < 0) return absl::OkStatus();  // A socket, or gone meanwhile.
  absl::Cleanup close_file = [file] { close(file); };
  struct stat status;
  if (fstat(file, &status) != 0) return absl::OkStatus();
  const bool directory = S_ISDIR(status.st_mode);
  if (!S_ISREG(status.st_mode) && !(directory && source == path)) return absl::OkStatus();
  std::unique_ptr<struct archive_entry, EntryDeleter> entry(archive_entry_new());
  archive_entry_set_pathname(entry.get(), name.c_str());
  archive_entry_set_filetype(entry.get(), directory ? AE_IFDIR : AE_IFREG);
  archive_entry_set_perm(entry.get(), directory ? 0555 : 0444);
  archive_entry_set_mtime(entry.get(), status.st_mtime, 0);
  archive_entry_set_size(entry.get(), directory ? 0 : status.st_size);
  if (archive_write_header(archive, entry.get()) != ARCHIVE_OK) return Failure(archive, name);
  return directory ? absl::OkStatus()
                   : CopyContent(archive, file, static_cast<uint64_t>(status.st_size), name);
}

}  // namespace

absl::Status WriteArchive(const std::string& directory, const std::string& path) {
  std::error_code error;
  const fs::path root = fs::canonical(directory, error);
  if (error) return absl::NotFoundError(absl::StrCat("cannot read ", directory, ": ", error.message()));
  std::unique_ptr<struct archive, ArchiveDeleter> archive(archive_write_new());
  archive_write_set_format_ustar(archive.get());
  archive_write_set_bytes_per_block(archive.get(), kBlockBytes);
  archive_write_set_bytes_in_last_block(archive.get(), kBlockBytes);
  unlink(path.c_str());
  if (archive_write_open_filename(archive.get(), path.c_str()) != ARCHIVE_OK) {
    return absl::UnavailableError(
        absl::StrCat("cannot write ", path, ": ", archive_error_string(archive.get())));
  }
  absl::Status status;
  auto walk = fs::recursive_directory_iterator(root, fs::directory_options::skip_permission_denied, error);
  for (; !error && status.ok() && walk != fs::recursive_directory_iterator(); walk.increment(error)) {
    status = Add(archive.get(), root, walk->path());
  }
  if (status.ok() && error) {
    status = absl::UnavailableError(absl::StrCat("cannot read ", directory, ": ", error.message()));
  }
  if (status.ok() && archive_write_close(archive.get()) != ARCHIVE_OK) {
    status = absl::UnavailableError(
        absl::StrCat("cannot write ", path, ": ", archive_error_string(archive.get())));
  }
  if (!status.ok()) unlink(path.c_str());
  return status;
}

}  // namespace librettos::xen
