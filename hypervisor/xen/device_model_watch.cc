#include "hypervisor/xen/device_model_watch.h"

#include <unistd.h>

#include "hypervisor/xen/device_model.h"

namespace librettos::xen {

using hypervisor::DomainId;

DeviceModelWatch::~DeviceModelWatch() {
  while (!processes_.empty()) Remove(processes_.begin()->first);
}

void DeviceModelWatch::Add(DomainId domain, int32_t pid) {
  Remove(domain);
  const int process = OpenDeviceModel(domain, pid);
  processes_[domain] = process;
  if (process >= 0) {
    loop_.Watch(process, EPOLLIN, [this, domain](uint32_t) { OnEnd(domain); });
  } else {
    loop_.After(absl::ZeroDuration(), [this, domain] {
      if (auto found = processes_.find(domain); found != processes_.end() && found->second < 0) OnEnd(domain);
    });
  }
}

void DeviceModelWatch::Remove(DomainId domain) {
  auto found = processes_.find(domain);
  if (found == processes_.end()) return;
  if (found->second >= 0) {
    loop_.Unwatch(found->second);
    close(found->second);
  }
  processes_.erase(found);
}

void DeviceModelWatch::OnEnd(DomainId domain) {
  Remove(domain);
  ended_(domain);
}

}  // namespace librettos::xen
