#include "guest/platform/process/life.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <string>

#include "guest/platform/process/process_platform.h"
#include "hypervisor/process/wire.h"

namespace librettos::process {
namespace {

// What the kernel walks at the thread's exit: one entry, whose word lies elsewhere.
struct RobustList {
  robust_list_head head;
  robust_list entry;
};
RobustList list;
Region* region = nullptr;

}  // namespace

void BeginLife(ProcessPlatform& platform) {
  if (getpid() != 1) return;  // Not in a namespace of its own: the kernel would not take the word for ours.
  Result<Region*> made = platform.Allocate(kPageSize);
  if (!made.ok()) return;
  auto* word = reinterpret_cast<std::atomic<uint32_t>*>((*made)->bytes().data());
  word->store(kAlive, std::memory_order_relaxed);
  list.entry.next = &list.head.list;
  list.head = {.list = {.next = &list.entry},
               .futex_offset = reinterpret_cast<char*>(word) - reinterpret_cast<char*>(&list.entry),
               .list_op_pending = nullptr};
  // Instead of libc's own list: no robust mutex is used in a domain.
  if (syscall(SYS_set_robust_list, &list.head, sizeof(list.head)) != 0) {
    (*made)->Release();
    return;
  }
  region = *made;
}

void PublishLife(ProcessPlatform& platform) {
  if (region == nullptr) return;
  Result<GrantRef> ref = region->GrantTo(kControlDomain, /*writable=*/false);
  if (!ref.ok()) return;
  // A refusal is logged by the platform.
  (void)platform.registry().Publish("/local/domain/" + std::to_string(platform.self()) + "/data/life",
                                    std::to_string(*ref));
}

}  // namespace librettos::process
