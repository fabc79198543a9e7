// Errors that several methods of the API share: what stands in the way of a well-formed request.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "daemon/errors.h"

namespace librettos::daemon {

inline absl::Status NameTaken(const std::string& name) {
  return MakeError(v1::ErrorInfo::NAME_TAKEN, {.resource = name,
                                               .field = {},
                                               .value = name,
                                               .what = absl::StrCat(name, " exists already"),
                                               .next = "Choose another name, or delete that one first"});
}

inline absl::Status LimitReached(const std::string& what, size_t limit) {
  return MakeError(v1::ErrorInfo::LIMIT_REACHED,
                   {.resource = {},
                    .field = {},
                    .value = absl::StrCat(limit),
                    .what = absl::StrCat("there are ", limit, " ", what, ", the most possible"),
                    .next = "Delete one first"});
}

inline absl::Status NicTaken(const std::string& nic, const std::string& owner, const std::string& field) {
  return MakeError(v1::ErrorInfo::NIC_TAKEN, {.resource = nic,
                                              .field = field,
                                              .value = nic,
                                              .what = absl::StrCat(nic, " is in use by ", owner),
                                              .next = "Use another NIC, or free this one first"});
}

inline absl::Status NicUnavailable(const std::string& nic, const std::string& why, const std::string& next) {
  return MakeError(v1::ErrorInfo::NIC_UNAVAILABLE,
                   {.resource = nic, .field = {}, .value = nic, .what = why, .next = next});
}

inline absl::Status CheckEtag(const std::string& given, const std::string& current, const std::string& name) {
  if (given.empty() || given == current) return absl::OkStatus();
  return MakeError(v1::ErrorInfo::STALE_ETAG,
                   {.resource = name,
                    .field = "etag",
                    .value = given,
                    .what = absl::StrCat(name, " was changed since: its etag is ", current, ", not ", given),
                    .next = "Read it again, and repeat the request if it still makes sense"});
}

inline absl::Status InUse(const std::string& name, const std::string& by) {
  return MakeError(v1::ErrorInfo::IN_USE, {.resource = name,
                                           .field = {},
                                           .value = by,
                                           .what = absl::StrCat(name, " is in use by ", by),
                                           .next = absl::StrCat("Delete ", by, " first")});
}

inline absl::Status UnderWay(const std::string& name, const std::string& operation) {
  return MakeError(v1::ErrorInfo::OPERATION_UNDER_WAY,
                   {.resource = name,
                    .field = {},
                    .value = operation,
                    .what = absl::StrCat(operation, " is under way on ", name),
                    .next = absl::StrCat("Wait for ", operation, " and try again")});
}

inline absl::Status WrongState(const std::string& name, const std::string& why, const std::string& next) {
  return MakeError(
      v1::ErrorInfo::WRONG_STATE,
      {.resource = name, .field = {}, .value = {}, .what = absl::StrCat(name, " ", why), .next = next});
}

}  // namespace librettos::daemon
