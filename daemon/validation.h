// Checks specifications before anything is changed, fills in defaults, and brings values into canonical form.
//
// Errors name the field as the request has it ("guest.spec.addresses[1]").
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "daemon/model.h"
#include "google/protobuf/duration.pb.h"
#include "hypervisor/hypervisor.h"

namespace librettos::daemon {

inline constexpr size_t kMaxServers = 64;
inline constexpr size_t kMaxGuests = 1024;
inline constexpr size_t kMaxGuestsPerServer = 256;
inline constexpr uint32_t kMaxQueuePairs = 8;
inline constexpr size_t kMaxNics = 1024;
inline constexpr int kMaxSharedAddresses = 8;

// `kind`: what the hypervisor's domains are, and so which devices and sizes there are.
absl::Status ValidateNic(const Model& model, hypervisor::Kind kind, v1::NicSpec* spec);
absl::Status ValidateServer(Model& model, hypervisor::Kind kind, v1::NetworkServerSpec* spec);
// `mac` is set to the hardware address that the guest gets; empty on shared addresses.
absl::Status ValidateGuest(Model& model, hypervisor::Kind kind, const std::string& name, v1::GuestSpec* spec,
                           std::string* mac);

// `given` within [low, high]; if it is not set, `otherwise`.
absl::StatusOr<absl::Duration> DurationIn(bool set, const google::protobuf::Duration& given,
                                          absl::Duration low, absl::Duration high, absl::Duration otherwise,
                                          const std::string& field);
// An absolute path of an executable file.
absl::Status ValidateImage(const std::string& path, const std::string& field);

}  // namespace librettos::daemon
