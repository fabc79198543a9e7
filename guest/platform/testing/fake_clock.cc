// Now() of the fake world.
#include <time.h>

#include <atomic>

#include "guest/platform/testing/fake_platform.h"

namespace librettos {
namespace {

std::atomic<Nanoseconds> advanced{0};
std::atomic<Nanoseconds> frozen_at{0};

Nanoseconds Real() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return Nanoseconds{1000000000} * now.tv_sec + now.tv_nsec;
}

}  // namespace

Nanoseconds Now() {
  const Nanoseconds frozen = frozen_at.load();
  return (frozen ? frozen : Real()) + advanced.load();
}

namespace fake {

void FreezeClock() {
  if (frozen_at.load() == 0) frozen_at.store(Real());
}
// The clock goes on from where it stood.
void ThawClock() {
  const Nanoseconds frozen = frozen_at.exchange(0);
  if (frozen) advanced.fetch_sub(Real() - frozen);
}
void AdvanceClock(Nanoseconds by) { advanced.fetch_add(by); }

}  // namespace fake
}  // namespace librettos
