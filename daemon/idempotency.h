// Remembers the answers of mutating calls by request id, so that a repeated call does not act twice. Loop
// thread only.
//
// Kept with the state, for the last kMaxRequests calls. Only calls that took effect are remembered.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "daemon/model.h"
#include "google/protobuf/message.h"

namespace librettos::daemon {

// True: `response` holds the first call's answer. INVALID_FIELD: the id is malformed; REQUEST_ID_REUSED: it
// belongs to another request.
absl::StatusOr<bool> FindAnswer(const Model& model, absl::string_view request_id, absl::string_view method,
                                const google::protobuf::Message& request,
                                google::protobuf::Message* response);
// Not durable before the next Commit. No-op without an id.
void RememberAnswer(Model& model, absl::string_view request_id, absl::string_view method,
                    const google::protobuf::Message& request, const google::protobuf::Message& response);
// Undoes RememberAnswer.
void ForgetAnswer(Model& model, absl::string_view request_id);

}  // namespace librettos::daemon
