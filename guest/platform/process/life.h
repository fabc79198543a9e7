// The word by which the kernel tells the daemon of a process domain's death, before it has unmapped what the
// domain had mapped (hypervisor/process/death_watch.h).
//
// It is a robust futex (set_robust_list(2)) that the domain's first thread always holds: when that thread
// exits, in whatever way, the kernel marks the word and wakes who waits for it. It lies in memory of its own
// that is granted to the daemon, under the key /local/domain/<id>/data/life.
#pragma once

namespace librettos::process {

class ProcessPlatform;

// Makes the word, for the calling thread. Before the system call filter, which forbids it. A failure costs
// only the time that it would have saved.
void BeginLife(ProcessPlatform& platform);
// Publishes it, once the daemon has said who this domain is.
void PublishLife(ProcessPlatform& platform);

}  // namespace librettos::process
