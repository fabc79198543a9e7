// The API's view of channels: made from the registry, which is where guests and servers agree on them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "daemon/model.h"
#include "hypervisor/hypervisor.h"
#include "librettos/v1/channel.pb.h"

namespace librettos::daemon {

// All channels of a guest, in the order active, standby, others. Empty if it does not run.
std::vector<v1::Channel> ChannelsOf(hypervisor::Hypervisor& hypervisor, Model& model,
                                    const std::string& guest);

}  // namespace librettos::daemon
