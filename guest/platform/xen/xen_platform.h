// The platform of a Xen domain. See docs/xen.md.
//
// Nothing here needs the daemon: grants, events and xenstore are Xen's and domain 0's. Map and Bind answer
// before they return.
#pragma once

#include <string>
#include <vector>

#include "guest/platform/xen/devices.h"
#include "guest/platform/xen/events.h"
#include "guest/platform/xen/grants.h"
#include "guest/platform/xen/loop.h"
#include "guest/platform/xen/region.h"
#include "guest/platform/xen/ustar.h"
#include "guest/platform/xen/xenbus.h"

namespace librettos::xen {

class XenPlatform final : public Platform, private RegistryObserver {
 public:
  // Waits for xenstore, and reads who this domain is. InitSharedInfo before. Lives as long as the domain.
  XenPlatform();
  XenPlatform(const XenPlatform&) = delete;
  XenPlatform& operator=(const XenPlatform&) = delete;

  // Tells the daemon how it ended, and waits a moment until it is told.
  void PublishExit(int status);
  Xenbus& xenbus() { return xenbus_; }

  DomainId self() const override { return self_; }
  std::span<const std::string_view> arguments() const override { return arguments_; }
  Loop& loop() override { return loop_; }
  Registry& registry() override { return xenbus_.registry(); }
  Devices& devices() override { return devices_; }
  Files& files() override { return files_; }
  Result<Region*> Allocate(size_t bytes) override { return regions_.Allocate(bytes); }
  void Map(DomainId owner, GrantRef ref, size_t bytes, bool writable, MapObserver* observer) override;
  Result<EventPort*> Offer(DomainId peer) override;
  void Bind(DomainId owner, PortNumber port, BindObserver* observer) override;
  void Cancel(MapObserver*) override {}
  void Cancel(BindObserver*) override {}

 private:
  void ReadIdentity();
  void OpenFiles();
  // The key by which the domain is asked to end.
  void OnKey(std::string_view path, std::string_view value, bool present) override;

  Events events_;
  XenLoop loop_{events_};
  Xenbus xenbus_{events_, loop_};
  GrantTable grants_;
  Regions regions_{grants_};
  XenDevices devices_{loop_, events_, xenbus_.registry()};
  Ustar files_;
  DomainId self_ = 0;
  std::string base_;  // The domain's path in the registry.
  std::vector<std::string> argument_texts_;
  std::vector<std::string_view> arguments_;
};

}  // namespace librettos::xen
