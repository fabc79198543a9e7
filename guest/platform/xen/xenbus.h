// The domain's connection to xenstore.
//
// While the domain starts, requests are made here and waited for; from Start() on the ring is the registry's.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "guest/platform/xen/events.h"
#include "guest/platform/xen/loop.h"
#include "guest/platform/xen/xen_registry.h"

namespace librettos::xen {

class Xenbus final : private XenstoreReceiver, private Handler {
 public:
  Xenbus(Events& events, XenLoop& loop);
  Xenbus(const Xenbus&) = delete;
  Xenbus& operator=(const Xenbus&) = delete;

  // Waits for the answer, as long as it takes. nullopt: there is none, or not for us; `path` may be relative
  // to the domain's own.
  std::optional<std::string> Read(std::string_view path);
  Status Write(std::string_view path, std::string_view value);
  // Names of the keys directly below `path`.
  std::vector<std::string> List(std::string_view path);
  // Reads `path` until it holds `value`; false: not before `deadline`.
  bool AwaitValue(std::string_view path, std::string_view value, Nanoseconds deadline);

  // Has the loop serve the registry.
  void Start();
  XenRegistry& registry() { return registry_; }
  // Serves the registry until all that was published is written, or until `deadline`.
  void Finish(Nanoseconds deadline);
  // A last write, by a domain that dies: without waiting for an answer, and not for long.
  void WriteLast(std::string_view path, std::string_view value);

 private:
  Result<std::string> Request(uint32_t type, std::initializer_list<std::string_view> parts);
  void OnMessage(uint32_t type, uint32_t id, std::string_view payload) override;
  void OnEvent() override;
  // What the registry calls when it has work.
  struct Work final : Handler {
    explicit Work(Xenbus& bus) : xenbus(bus) {}
    void OnEvent() override { xenbus.loop_.RunSoon(&xenbus); }
    Xenbus& xenbus;
  };

  Events& events_;
  XenLoop& loop_;
  xenstore_domain_interface* const shared_;
  const evtchn_port_t port_;
  XenstoreRing ring_;
  Work work_{*this};
  XenRegistry registry_;
  uint32_t next_id_ = 1;
  bool answered_ = false;
  bool ok_ = false;
  std::string answer_;
};

}  // namespace librettos::xen
