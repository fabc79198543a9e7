// The platform of a confined Linux process. See docs/protocols.md, "Control socket of an embedded domain".
#pragma once

#include <string_view>
#include <vector>

#include "guest/platform/process/control.h"
#include "guest/platform/process/devices.h"
#include "guest/platform/process/event_port.h"
#include "guest/platform/process/files.h"
#include "guest/platform/process/loop.h"
#include "guest/platform/process/mapping.h"
#include "guest/platform/process/process_cpus.h"
#include "guest/platform/process/region.h"
#include "guest/platform/process/registry.h"

namespace librettos::process {

class ProcessPlatform final : public Platform, private ControlClient, private RegistryObserver {
 public:
  // `control`: the listening control socket. `files`: a directory, opened now. The texts behind `arguments`
  // outlive the platform. `cpus`: see ProcessCpus.
  ProcessPlatform(Descriptor control, const char* files, std::vector<std::string_view> arguments,
                  unsigned cpus = 1);
  ~ProcessPlatform();

  // Sleeps until the first daemon has said who this domain is; false if that was not before `deadline`.
  bool AwaitDaemon(Nanoseconds deadline);
  Control& control() { return control_; }
  ProcessLoop& process_loop() { return loop_; }

  DomainId self() const override { return control_.self(); }
  std::span<const std::string_view> arguments() const override { return arguments_; }
  Loop& loop() override { return loop_; }
  Registry& registry() override { return registry_; }
  Devices& devices() override { return devices_; }
  Files& files() override { return files_; }
  Result<Region*> Allocate(size_t bytes) override { return regions_.Allocate(bytes); }
  void Map(DomainId owner, GrantRef ref, size_t bytes, bool writable, MapObserver* observer) override;
  Result<EventPort*> Offer(DomainId peer) override { return ports_.Offer(peer); }
  void Bind(DomainId owner, PortNumber port, BindObserver* observer) override;
  void Cancel(MapObserver* observer) override { mappings_.Cancel(observer); }
  void Cancel(BindObserver* observer) override { ports_.Cancel(observer); }
  Cpus& cpus() override { return cpus_; }

 private:
  void OnConnected() override;
  bool OnMessage(InMessage& message) override;
  // The key by which the domain is asked to end.
  void OnKey(std::string_view path, std::string_view value, bool present) override;

  std::vector<std::string_view> arguments_;
  ProcessLoop loop_;
  ProcessCpus cpus_;
  Control control_;
  ProcessRegistry registry_;
  ProcessDevices devices_;
  ProcessFiles files_;
  Regions regions_;
  Mappings mappings_;
  Ports ports_;
  uint32_t next_id_ = 1;
  bool watching_shutdown_ = false;
};

}  // namespace librettos::process
