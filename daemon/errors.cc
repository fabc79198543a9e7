#include "daemon/errors.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace librettos::daemon {
namespace {

constexpr char kPayload[] = "type.googleapis.com/librettos.v1.ErrorInfo";

absl::StatusCode CodeOf(v1::ErrorInfo::Reason reason) {
  switch (reason) {
    case v1::ErrorInfo::MALFORMED_NAME:
    case v1::ErrorInfo::INVALID_FIELD:
    case v1::ErrorInfo::MISSING_FIELD:
      return absl::StatusCode::kInvalidArgument;
    case v1::ErrorInfo::NAME_TAKEN:
    case v1::ErrorInfo::REQUEST_ID_REUSED:
      return absl::StatusCode::kAlreadyExists;
    case v1::ErrorInfo::NO_SUCH_RESOURCE:
      return absl::StatusCode::kNotFound;
    case v1::ErrorInfo::STALE_ETAG:
    case v1::ErrorInfo::OPERATION_UNDER_WAY:
      return absl::StatusCode::kAborted;
    case v1::ErrorInfo::ADDRESS_TAKEN:
    case v1::ErrorInfo::NIC_TAKEN:
    case v1::ErrorInfo::NIC_UNAVAILABLE:
    case v1::ErrorInfo::SHARED_ADDRESS:
    case v1::ErrorInfo::IN_USE:
    case v1::ErrorInfo::WRONG_STATE:
      return absl::StatusCode::kFailedPrecondition;
    case v1::ErrorInfo::LIMIT_REACHED:
      return absl::StatusCode::kResourceExhausted;
    case v1::ErrorInfo::ROLE_TOO_LOW:
      return absl::StatusCode::kPermissionDenied;
    case v1::ErrorInfo::TEMPORARY:
      return absl::StatusCode::kUnavailable;
    default:
      return absl::StatusCode::kInternal;
  }
}

}  // namespace

absl::Status MakeError(v1::ErrorInfo::Reason reason, const ErrorText& text) {
  v1::ErrorInfo info;
  info.set_reason(reason);
  info.set_resource(text.resource);
  info.set_field(text.field);
  info.set_value(text.value.substr(0, 200));  // What came in may be long; the answer must not be.
  info.set_next_step(text.next.empty() ? "" : absl::StrCat(text.next, "."));
  std::string message = text.what;
  if (!text.next.empty()) absl::StrAppend(&message, ". ", text.next, ".");
  absl::Status status(CodeOf(reason), message);
  status.SetPayload(kPayload, absl::Cord(info.SerializeAsString()));
  return status;
}

std::optional<v1::ErrorInfo> ErrorInfoOf(const absl::Status& status) {
  auto payload = status.GetPayload(kPayload);
  v1::ErrorInfo info;
  if (!payload.has_value() || !info.ParseFromString(std::string(*payload))) return std::nullopt;
  return info;
}

absl::Status NoSuchResource(absl::string_view name) {
  return MakeError(v1::ErrorInfo::NO_SUCH_RESOURCE,
                   {.resource = std::string(name),
                    .field = {},
                    .value = {},
                    .what = absl::StrCat("there is no \"", name, "\""),
                    .next = "List the collection to see the names that exist"});
}

absl::Status InvalidField(absl::string_view field, absl::string_view value, absl::string_view why,
                          absl::string_view next) {
  return MakeError(v1::ErrorInfo::INVALID_FIELD,
                   {.resource = {},
                    .field = std::string(field),
                    .value = std::string(value),
                    .what = absl::StrCat(field, ": \"", value.substr(0, 200), "\" ", why),
                    .next = std::string(next)});
}

absl::Status MissingField(absl::string_view field, absl::string_view next) {
  return MakeError(v1::ErrorInfo::MISSING_FIELD, {.resource = {},
                                                  .field = std::string(field),
                                                  .value = {},
                                                  .what = absl::StrCat(field, " is required and missing"),
                                                  .next = std::string(next)});
}

}  // namespace librettos::daemon
