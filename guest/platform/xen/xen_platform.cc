#include "guest/platform/xen/xen_platform.h"

#include <charconv>

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
  xenbus_.Start();
  const std::string path = "/local/domain/" + std::to_string(self_) + "/control/shutdown";
  if (!registry().Watch(path, this).ok()) Panic("cannot watch control/shutdown");
}

void XenPlatform::ReadIdentity() {
  const std::string id = xenbus_.Read("domid").value_or("");
  if (std::from_chars(id.data(), id.data() + id.size(), self_).ec != std::errc() || self_ == 0) {
    Panic("xenstore does not say which domain this is");
  }
  while (argument_texts_.size() < kMaxArguments) {
    auto argument = xenbus_.Read("control/arguments/" + std::to_string(argument_texts_.size()));
    if (!argument) break;
    argument_texts_.push_back(std::move(*argument));
  }
  arguments_.assign(argument_texts_.begin(), argument_texts_.end());
}

void XenPlatform::PublishExit(int status) {
  const std::string path = "/local/domain/" + std::to_string(self_) + "/data/exit";
  if (!registry().Publish(path, std::to_string(status)).ok()) Log("data/exit cannot be published");
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
