// A word of shared memory that both sides of a ring use to agree, and the fence between a store to one and a
// load of another. In the explorer's build each access is a step that is explored (explorer/machine.h).
#pragma once

#ifdef LIBRETTOS_EXPLORED
#include "guest/channel/explorer/word.h"
#else

#include <atomic>
#include <cstdint>

namespace librettos::channel {

using Word = std::atomic<uint32_t>;
inline void FullFence() { std::atomic_thread_fence(std::memory_order_seq_cst); }

}  // namespace librettos::channel

#endif
