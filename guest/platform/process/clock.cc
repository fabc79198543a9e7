#include <time.h>

#include "guest/platform/platform.h"

namespace librettos {

Nanoseconds Now() {
  timespec now;
  // By way of the vDSO: no system call.
  clock_gettime(CLOCK_MONOTONIC, &now);
  return Nanoseconds{1000000000} * static_cast<Nanoseconds>(now.tv_sec) +
         static_cast<Nanoseconds>(now.tv_nsec);
}

}  // namespace librettos
