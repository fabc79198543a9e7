// The state file: as it lies on a disk that lies, and with a good checksum around content that no daemon has
// written.
//
// Checked: what is read is what was written; a state that cannot be used is refused, and the file left as it
// is.
#include <fstream>
#include <iterator>
#include <string>

#include "absl/strings/str_cat.h"
#include "bazel/fuzz_input.h"
#include "daemon/controller.h"
#include "daemon/testing/fake_hypervisor.h"
#include "daemon/testing/fake_scheduler.h"
#include "daemon/testing/state_directory.h"
#include "hypervisor/fnv.h"

namespace librettos::daemon {
namespace {

std::string Read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

void Check(const std::string& directory, const std::string& content) {
  Store store(directory);
  std::ofstream(store.path(), std::ios::binary) << content;
  absl::StatusOr<State> state = store.Load();
  FUZZ_CHECK(Read(store.path()) == content);
  if (!state.ok()) {
    FUZZ_CHECK(state.status().code() == absl::StatusCode::kDataLoss);
    return;
  }
  FUZZ_CHECK(store.Save(*state).ok());
  absl::StatusOr<State> again = store.Load();
  FUZZ_CHECK(again.ok() && again->SerializeAsString() == state->SerializeAsString());
  // A daemon starts with it, and says so or works.
  hypervisor::FakeHypervisor hv;
  FakeScheduler scheduler;
  WatchHub hub;
  Controller controller(scheduler, hv, store, hub);
  if (controller.Recover().ok()) scheduler.Advance(absl::Seconds(2));
}

}  // namespace
}  // namespace librettos::daemon

// First byte: even: the file as it is; odd: the content, behind a header that fits.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace librettos;
  static daemon::StateDirectory directory;
  FuzzInput input(data, size);
  const bool fitting = input.U8() % 2;
  std::string content(input.Text(size));
  if (fitting) {
    content = absl::StrCat("librettos-state ", daemon::kStateVersion, " ", content.size(), " ",
                           absl::Hex(Fnv1a(content)), "\n", content);
  }
  daemon::Check(directory.path(), content);
  return 0;
}
