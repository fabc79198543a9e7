// Changes of mode over the real guest and the real server, in every order of their turns that fits into a
// window, at each place of a change, with servers that die at any of these turns: no datagram is lost, none
// is repeated but by a server's death, none overtakes another on its way out, and every change comes to an
// end.
#include <gtest/gtest.h>
#include <malloc.h>

#include <cstdio>
#include <cstdlib>

#include "test/model/mode_world.h"

namespace librettos::test {
namespace {

// Of an ordinary change, there and back, one turn each.
constexpr std::string_view kCourse = "pgsmgspgtsagsapgsagsmgspgtsagspgsaga";
constexpr std::string_view kActs = "gspatyxmd";

// Runs kCourse up to `at`, then `window`, then lets all come to its end. Returns what is wrong; empty:
// nothing.
std::string RunOnce(size_t at, std::string_view window, const ModeWorld::Options& options) {
  ModeWorld world(options);
  world.Do(kCourse.substr(0, at));
  world.Do(window);
  const bool settled = world.wrong().empty() && world.Settle();
  if (settled && world.wrong().empty()) return {};
  return (world.wrong().empty() ? "it does not come to an end" : world.wrong()) + ": " + world.Story();
}

// What all those servers log is of no interest, and their memory is used again rather than faulted in anew.
void Prepare() {
  if (!std::freopen("/dev/null", "w", stderr)) std::abort();
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
}

std::string RunAll(size_t width, const ModeWorld::Options& options) {
  Prepare();
  size_t windows = 1, runs = 0;
  for (size_t i = 0; i < width; ++i) windows *= kActs.size();
  for (size_t at = 0; at <= kCourse.size(); ++at) {
    for (size_t number = 0; number < windows; ++number) {
      std::string window;
      for (size_t i = 0, rest = number; i < width; ++i, rest /= kActs.size()) {
        window += kActs[rest % kActs.size()];
      }
      ++runs;
      const std::string wrong = RunOnce(at, window, options);
      if (!wrong.empty()) return wrong;
    }
  }
  std::printf("%zu runs\n", runs);
  return {};
}

constexpr ModeWorld::Options kStandby = {.deaths = 2, .changes = 3, .standby = true};
constexpr ModeWorld::Options kNoStandby = {.deaths = 2, .changes = 3, .standby = false};

#ifndef LIBRETTOS_MUTANT
TEST(ModeChangeTest, EveryWindowWithAStandby) { EXPECT_EQ(RunAll(3, kStandby), ""); }
TEST(ModeChangeTest, EveryWindowWithoutAStandby) { EXPECT_EQ(RunAll(2, kNoStandby), ""); }
#else
// The guest was broken on purpose (bazel/mutant.bzl).
TEST(ModeChangeTest, MutantIsFound) {
  const std::string wrong = RunAll(3, kStandby);
  std::printf("%s\n", wrong.c_str());
  EXPECT_NE(wrong, "") << "the test is blind for this mutant";
}
#endif

}  // namespace
}  // namespace librettos::test
