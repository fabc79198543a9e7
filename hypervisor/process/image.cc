#include "hypervisor/process/image.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace librettos::process {

absl::StatusOr<Descriptor> OpenImage(const std::string& path) {
  const std::string what = absl::StrCat("domain image ", path);
  if (path.empty())
    return absl::InvalidArgumentError("no domain image is given, and there is no built-in one");
  Descriptor image(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!image.valid()) {
    const std::string text = absl::StrCat(what, " cannot be opened: ", strerror(errno));
    return errno == ENOENT ? absl::NotFoundError(text) : absl::FailedPreconditionError(text);
  }
  struct stat status;
  if (fstat(image.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(what, " is not a regular file"));
  }
  if ((status.st_mode & S_IXOTH) == 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(what, " is not executable for everybody, which a domain needs: chmod a+x it"));
  }
  Elf64_Ehdr elf;
  if (pread(image.get(), &elf, sizeof(elf), 0) != static_cast<ssize_t>(sizeof(elf)) ||
      memcmp(elf.e_ident, ELFMAG, SELFMAG) != 0 || elf.e_ident[EI_CLASS] != ELFCLASS64 ||
      (elf.e_type != ET_EXEC && elf.e_type != ET_DYN)) {
    return absl::FailedPreconditionError(absl::StrCat(what, " is not a 64-bit ELF executable"));
  }
  for (int i = 0; i < elf.e_phnum; ++i) {
    Elf64_Phdr segment;
    const off_t at = static_cast<off_t>(elf.e_phoff) + off_t{i} * elf.e_phentsize;
    if (pread(image.get(), &segment, sizeof(segment), at) != static_cast<ssize_t>(sizeof(segment))) {
      return absl::FailedPreconditionError(absl::StrCat(what, " is truncated"));
    }
    if (segment.p_type == PT_INTERP) {
      return absl::FailedPreconditionError(absl::StrCat(
          what, " is dynamically linked; a domain has no libraries to load: link it with -static"));
    }
  }
  return image;
}

}  // namespace librettos::process
