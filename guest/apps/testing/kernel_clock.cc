// The platform's clock, console and entropy, of the host. For tests only.
#include <sys/random.h>
#include <time.h>

#include <cstdio>
#include <cstdlib>

#include "guest/platform/platform.h"

namespace librettos {

Nanoseconds Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<Nanoseconds>(now.tv_sec) * 1'000'000'000 + static_cast<Nanoseconds>(now.tv_nsec);
}

void Log(std::string_view line) {
  std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
}

void Panic(std::string_view reason) {
  Log(reason);
  std::abort();
}

void Random(std::span<std::byte> out) {
  if (getrandom(out.data(), out.size(), 0) != static_cast<ssize_t>(out.size())) Panic("getrandom");
}

}  // namespace librettos
