#include <sched.h>

#include "guest/platform/cpus.h"

namespace librettos {

void Yield() { sched_yield(); }

}  // namespace librettos
