#include "daemon/idempotency.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "daemon/errors.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"

namespace librettos::daemon {
namespace {

std::string Canonical(const google::protobuf::Message& message) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  message.SerializeToCodedStream(&coded);
  coded.Trim();
  return bytes;
}

}  // namespace

absl::StatusOr<bool> FindAnswer(const Model& model, absl::string_view request_id, absl::string_view method,
                                const google::protobuf::Message& request,
                                google::protobuf::Message* response) {
  if (request_id.empty()) return false;
  bool printable = true;
  for (char c : request_id) printable = printable && absl::ascii_isgraph(c);
  if (request_id.size() > 64 || !printable) {
    return InvalidField("request_id", request_id, "is not up to 64 printable characters without spaces",
                        "Use a UUID, or leave it out");
  }
  for (const RequestRecord& record : model.requests) {
    if (record.request_id() != request_id) continue;
    if (record.method() != method || record.request() != Canonical(request)) {
      return MakeError(v1::ErrorInfo::REQUEST_ID_REUSED,
                       {.resource = {},
                        .field = "request_id",
                        .value = std::string(request_id),
                        .what = absl::StrCat("request_id \"", request_id,
                                             "\" was used for a different request (", record.method(), ")"),
                        .next = "Use a new request_id for each new request"});
    }
    if (!response->ParseFromString(record.response()))
      return absl::InternalError("a stored answer does not parse");
    return true;
  }
  return false;
}

void RememberAnswer(Model& model, absl::string_view request_id, absl::string_view method,
                    const google::protobuf::Message& request, const google::protobuf::Message& response) {
  if (request_id.empty()) return;
  RequestRecord record;
  record.set_request_id(std::string(request_id));
  record.set_method(std::string(method));
  record.set_request(Canonical(request));
  record.set_response(response.SerializeAsString());
  model.requests.push_back(std::move(record));
  while (model.requests.size() > kMaxRequests) model.requests.pop_front();
}

void ForgetAnswer(Model& model, absl::string_view request_id) {
  if (!model.requests.empty() && model.requests.back().request_id() == request_id) model.requests.pop_back();
}

}  // namespace librettos::daemon
