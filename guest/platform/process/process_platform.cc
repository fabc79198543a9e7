#include "guest/platform/process/process_platform.h"

#include <algorithm>
#include <charconv>

namespace librettos::process {

ProcessPlatform::ProcessPlatform(Descriptor control, const char* files,
                                 std::vector<std::string_view> arguments, unsigned cpus)
    : arguments_(std::move(arguments)),
      cpus_(loop_, cpus),
      control_(loop_, std::move(control), this),
      registry_(loop_, control_),
      devices_(loop_, control_),
      files_(files),
      regions_(control_),
      mappings_(control_),
      ports_(loop_, control_) {}

ProcessPlatform::~ProcessPlatform() = default;

bool ProcessPlatform::AwaitDaemon(Nanoseconds deadline) {
  while (self() == 0 && Now() < deadline) loop_.Wait(deadline);
  return self() != 0;
}

void ProcessPlatform::Map(DomainId owner, GrantRef ref, size_t bytes, bool writable, MapObserver* observer) {
  mappings_.Map(next_id_++, owner, ref, bytes, writable, observer);
}

void ProcessPlatform::Bind(DomainId owner, PortNumber port, BindObserver* observer) {
  ports_.Bind(next_id_++, owner, port, observer);
}

void ProcessPlatform::OnConnected() {
  // Regions and ports before the keys that name them: whoever reads a key can map at once.
  regions_.Redeclare();
  ports_.Redeclare();
  devices_.Redeclare();
  registry_.Redeclare();
  mappings_.Redeclare();
  if (!watching_shutdown_) {
    char path[64] = "/local/domain/";
    char* end = path + 14;
    end = std::to_chars(end, path + 32, self()).ptr;
    constexpr std::string_view kRest = "/control/shutdown";
    end = std::copy(kRest.begin(), kRest.end(), end);
    watching_shutdown_ = registry_.Watch({path, static_cast<size_t>(end - path)}, this).ok();
  }
  control_.Send({.type = WireType::kDeclared});
}

void ProcessPlatform::OnKey(std::string_view, std::string_view value, bool present) {
  if (present && value == "poweroff") loop_.Stop();
}

bool ProcessPlatform::OnMessage(InMessage& message) {
  switch (static_cast<WireType>(message.header.type)) {
    case WireType::kKey:
      return message.header.a <= 1 && registry_.OnKey(message.path, message.value, message.header.a == 1);
    case WireType::kSynced:
      return registry_.OnSynced(message.path);
    case WireType::kMapReply:
      mappings_.OnReply(message);
      return true;
    case WireType::kBindReply:
      ports_.OnReply(message);
      return true;
    case WireType::kDevice:
      return devices_.OnDevice(message);
    default:
      return false;
  }
}

DescriptorLoop& DescriptorLoopOf(Platform& platform) {
  // The one implementation of Platform that this library is linked with.
  return static_cast<ProcessPlatform&>(platform).process_loop();
}

}  // namespace librettos::process
