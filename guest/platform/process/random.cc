#include <errno.h>
#include <sys/random.h>

#include "guest/platform/platform.h"

namespace librettos {

void Random(std::span<std::byte> out) {
  while (!out.empty()) {
    const ssize_t got = getrandom(out.data(), out.size(), 0);
    if (got < 0) {
      if (errno == EINTR) continue;
      Panic("getrandom failed");
    }
    out = out.subspan(static_cast<size_t>(got));
  }
}

}  // namespace librettos
