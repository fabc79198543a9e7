// Errors of the API: an absl::Status that carries a librettos.v1.ErrorInfo.
//
// The text says what is wrong, why, and what to do; the details say the same to programs.
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "librettos/v1/error.pb.h"

namespace librettos::daemon {

struct ErrorText {
  std::string resource;
  std::string field;
  std::string value;
  std::string what;  // What is wrong and why, without a full stop.
  std::string next;  // What the caller can do, one sentence without a full stop.
};

// The status code follows from the reason, as error.proto says.
absl::Status MakeError(v1::ErrorInfo::Reason reason, const ErrorText& text);

// The details of `status`, if it came from MakeError.
std::optional<v1::ErrorInfo> ErrorInfoOf(const absl::Status& status);

// Common ones.
absl::Status NoSuchResource(absl::string_view name);
absl::Status InvalidField(absl::string_view field, absl::string_view value, absl::string_view why,
                          absl::string_view next);
absl::Status MissingField(absl::string_view field, absl::string_view next);

}  // namespace librettos::daemon
