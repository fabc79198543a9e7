#include "guest/platform/xen/xen_cpus.h"

namespace librettos::xen {

void XenCpus::Init() {
  // There are as many as have an event channel: Xen refuses one for a CPU that the domain does not have.
  for (unsigned cpu = 0; cpu < kMaxCpus; ++cpu) {
    const auto port = events_.BindIpi(cpu);
    if (!port.ok()) break;
    cpus_[cpu].port = port.value();
    count_ = cpu + 1;
  }
  if (cpus_[0].port == 0) Panic("no event channel to the first CPU");
  events_.SetHandler(cpus_[0].port, this);
}

Status XenCpus::Start(unsigned cpu, Work* work) {
  if (cpu == 0 || cpu >= count_ || !work) return Error::kInvalidArgument;
  return StartCpu(
      cpu, [](void* argument) { static_cast<Work*>(argument)->Run(); }, work);
}

void XenCpus::Wake(unsigned cpu) {
  if (cpu >= count_) return;
  // Release: what was written before is seen by who finds the word set.
  if (!cpus_[cpu].woken.exchange(true, std::memory_order_acq_rel)) Events::Send(cpus_[cpu].port);
}

void XenCpus::Sleep(unsigned cpu, Nanoseconds deadline) {
  // Acquire: see Wake. A signal that is pending still ends the sleep after this one early.
  if (cpus_[cpu].woken.exchange(false, std::memory_order_acq_rel)) return;
  Events::Await(cpus_[cpu].port, deadline);
  cpus_[cpu].woken.exchange(false, std::memory_order_acq_rel);
}

// The port was cleared before: a Wake from here on signals it again, as it finds the word clear.
void XenCpus::OnEvent() { cpus_[0].woken.exchange(false, std::memory_order_acq_rel); }

}  // namespace librettos::xen
