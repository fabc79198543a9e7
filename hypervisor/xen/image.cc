#include "hypervisor/xen/image.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"

namespace librettos::xen {
namespace {

constexpr uint32_t kPhys32Entry = 18;  // xen/include/public/elfnote.h
constexpr size_t kMaxNoteBytes = 64 << 10;

bool HasEntryNote(const std::vector<char>& notes) {
  size_t at = 0;
  while (at + sizeof(Elf64_Nhdr) <= notes.size()) {
    Elf64_Nhdr note;
    memcpy(&note, notes.data() + at, sizeof(note));
    const size_t name = at + sizeof(note);
    const uint64_t next =
        name + (uint64_t{note.n_namesz} + 3) / 4 * 4 + (uint64_t{note.n_descsz} + 3) / 4 * 4;
    if (next > notes.size() + 3) return false;
    if (note.n_type == kPhys32Entry && note.n_namesz == 4 && memcmp(notes.data() + name, "Xen", 4) == 0) {
      return true;
    }
    at = next;
  }
  return false;
}

}  // namespace

absl::Status CheckImage(const std::string& path) {
  const std::string what = absl::StrCat("domain image ", path);
  if (path.empty())
    return absl::InvalidArgumentError("no domain image is given, and there is no built-in one");
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) {
    const std::string text = absl::StrCat(what, " cannot be opened: ", strerror(errno));
    return errno == ENOENT ? absl::NotFoundError(text) : absl::FailedPreconditionError(text);
  }
  absl::Cleanup close_file = [file] { close(file); };
  struct stat status;
  if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(what, " is not a regular file"));
  }
  Elf64_Ehdr elf;
  if (pread(file, &elf, sizeof(elf), 0) != static_cast<ssize_t>(sizeof(elf)) ||
      memcmp(elf.e_ident, ELFMAG, SELFMAG) != 0 || elf.e_ident[EI_CLASS] != ELFCLASS64) {
    return absl::FailedPreconditionError(absl::StrCat(what, " is not a 64-bit ELF file"));
  }
  for (int i = 0; i < elf.e_phnum; ++i) {
    Elf64_Phdr segment;
    const off_t at = static_cast<off_t>(elf.e_phoff) + off_t{i} * elf.e_phentsize;
    if (pread(file, &segment, sizeof(segment), at) != static_cast<ssize_t>(sizeof(segment))) {
      return absl::FailedPreconditionError(absl::StrCat(what, " is truncated"));
    }
    if (segment.p_type != PT_NOTE || segment.p_filesz > kMaxNoteBytes) continue;
    std::vector<char> notes(segment.p_filesz);
    if (pread(file, notes.data(), notes.size(), static_cast<off_t>(segment.p_offset)) ==
            static_cast<ssize_t>(notes.size()) &&
        HasEntryNote(notes)) {
      return absl::OkStatus();
    }
  }
  return absl::FailedPreconditionError(absl::StrCat(
      what,
      " has no Xen entry note (XEN_ELFNOTE_PHYS32_ENTRY): it is not an image for Xen; give a .elf image"));
}

}  // namespace librettos::xen
