// How failed calls are told: an absl::Status with the server's code and text, and the ErrorInfo
// (proto/librettos/v1/ error.proto) as a payload of it.
#pragma once

#include <optional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "grpcpp/support/status.h"
#include "librettos/v1/error.pb.h"

namespace librettos {

// Type URL of the payload that carries the serialized ErrorInfo.
inline constexpr absl::string_view kErrorInfoUrl = "type.googleapis.com/librettos.v1.ErrorInfo";

// The ErrorInfo of a status returned by Client, or nothing: the error did not come from the daemon (it is not
// reachable, say), or its details could not be read.
std::optional<v1::ErrorInfo> ErrorInfoOf(const absl::Status& status);

// Same code and text; details that hold an ErrorInfo become the payload, others are left out.
absl::Status FromGrpc(const grpc::Status& status);

// The way back, for services and their tests: the payload becomes the status's details.
grpc::Status ToGrpc(const absl::Status& status);

// `status` with `info` as its payload.
absl::Status WithErrorInfo(absl::Status status, const v1::ErrorInfo& info);

}  // namespace librettos
