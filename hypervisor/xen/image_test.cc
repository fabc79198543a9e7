#include "hypervisor/xen/image.h"

#include <elf.h>
#include <string.h>

#include <fstream>

#include "gtest/gtest.h"

namespace librettos::xen {
namespace {

struct Note {
  Elf64_Nhdr header = {.n_namesz = 4, .n_descsz = 4, .n_type = 18};
  char name[4] = {'X', 'e', 'n', 0};
  uint32_t entry = 0x100000;
};
struct Image {
  Elf64_Ehdr header{};
  Elf64_Phdr segment{};
  Note note;

  Image() {
    memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_phoff = offsetof(Image, segment);
    header.e_phentsize = sizeof(segment);
    header.e_phnum = 1;
    segment.p_type = PT_NOTE;
    segment.p_offset = offsetof(Image, note);
    segment.p_filesz = sizeof(note);
  }
};

absl::Status Check(const Image& image) {
  const std::string path = ::testing::TempDir() + "/image.elf";
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(reinterpret_cast<const char*>(&image), sizeof(image));
  return CheckImage(path);
}

TEST(ImageTest, TakesAnElfWithTheEntryNote) { EXPECT_TRUE(Check(Image()).ok()) << Check(Image()); }

TEST(ImageTest, RefusesAnElfWithoutIt) {
  Image image;
  image.note.header.n_type = 1;
  EXPECT_TRUE(absl::IsFailedPrecondition(Check(image)));
  image = Image();
  image.header.e_phnum = 0;
  EXPECT_TRUE(absl::IsFailedPrecondition(Check(image)));
}

TEST(ImageTest, RefusesWhatIsNoElf) {
  Image image;
  image.header.e_ident[0] = 'x';
  EXPECT_TRUE(absl::IsFailedPrecondition(Check(image)));
  EXPECT_TRUE(absl::IsNotFound(CheckImage("/nonexistent")));
  EXPECT_TRUE(absl::IsFailedPrecondition(CheckImage("/tmp")));
  EXPECT_TRUE(absl::IsInvalidArgument(CheckImage("")));
}

TEST(ImageTest, SurvivesNotesThatClaimTooMuch) {
  Image image;
  image.note.header.n_namesz = 0xfffffff0;
  EXPECT_TRUE(absl::IsFailedPrecondition(Check(image)));
  image = Image();
  image.segment.p_filesz = ~0ull;
  EXPECT_TRUE(absl::IsFailedPrecondition(Check(image)));
  image = Image();
  image.header.e_phnum = 3;  // Beyond the end of the file.
  image.note.header.n_type = 1;
  EXPECT_TRUE(absl::IsFailedPrecondition(Check(image)));
}

}  // namespace
}  // namespace librettos::xen
