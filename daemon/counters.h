// Turns a domain's counter page (guest/platform/statistics.h) into the API's statistics.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "hypervisor/hypervisor.h"
#include "librettos/v1/statistics.pb.h"

namespace librettos::daemon {

// `page` is a copy of the domain's page, in 64-bit words; hostile: rows beyond it and unknown peers are left
// out. `guest_name` gives the resource of a guest's domain id, or empty.
void AddServerStatistics(const std::string& name, uint32_t domain, const std::vector<uint64_t>& page,
                         const std::function<std::string(uint64_t)>& guest_name,
                         v1::GetStatisticsResponse* out);
void AddGuestStatistics(const std::string& name, uint32_t domain, const std::vector<uint64_t>& page,
                        v1::GetStatisticsResponse* out);

}  // namespace librettos::daemon
