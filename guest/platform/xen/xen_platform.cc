#include "guest/platform/xen/xen_platform.h"

#include <charconv>

#include "guest/platform/xen/block.h"
#include "guest/platform/xen/mapping.h"
#include "guest/platform/xen/ports.h"

namespace librettos::xen {
namespace {

constexpr size_t kMaxArguments = 64;
constexpr Nanoseconds kSecond = 1000000000;

}  // namespace

XenPlatform::XenPlatform() {
  events_.Init();
  loop_.Start();
  grants_.Init();
  ReadIdentity();
  OpenFiles();
  xenbus_.Start();
  if (!registry().Watch(base_ + "/control/shutdown", this).ok() || !devices_.Start(base_).ok()) {
    Panic("the registry refuses its first watches");
  }
}

void XenPlatform::ReadIdentity() {
  const std::string id = xenbus_.Read("domid").value_or("");
  if (std::from_chars(id.data(), id.data() + id.size(), self_).ec != std::errc() || self_ == 0) {
    Panic("xenstore does not say which domain this is");
  }
  base_ = "/local/domain/" + std::to_string(self_);
  while (argument_texts_.size() < kMaxArguments) {
    auto argument = xenbus_.Read("control/arguments/" + std::to_string(argument_texts_.size()));
    if (!argument) break;
    argument_texts_.push_back(std::move(*argument));
  }
  arguments_.assign(argument_texts_.begin(), argument_texts_.end());
}

void XenPlatform::OpenFiles() {
  auto disk = BlockDevice::Connect(xenbus_, events_, grants_);
  if (!disk.ok()) {
    if (disk.error() != Error::kNotFound) Log("the disk with the files cannot be used");
    return;
  }
  if (!files_.Index(*disk).ok()) Log("the disk holds no whole archive; files may be missing");
}

void XenPlatform::PublishExit(int status) {
  if (!registry().Publish(base_ + "/data/exit", std::to_string(status)).ok())
    Log("data/exit cannot be published");
  xenbus_.Finish(Now() + kSecond);
}

void XenPlatform::Map(DomainId owner, GrantRef ref, size_t bytes, bool writable, MapObserver* observer) {
  observer->OnMapped(MapRegion(owner, ref, bytes, writable));
}

Result<EventPort*> XenPlatform::Offer(DomainId peer) { return OfferPort(events_, peer); }

void XenPlatform::Bind(DomainId owner, PortNumber port, BindObserver* observer) {
  observer->OnBound(BindPort(events_, owner, port));
}

void XenPlatform::OnKey(std::string_view, std::string_view value, bool present) {
  if (present && value == "poweroff") loop_.Stop();
}

}  // namespace librettos::xen
