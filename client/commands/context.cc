#include "client/commands/context.h"

#include "google/protobuf/util/json_util.h"

namespace librettos::ctl {

absl::StatusOr<Client*> Context::Daemon() {
  if (client_ == nullptr) {
    ClientOptions options;
    options.socket = socket;
    if (timeout.has_value()) options.deadline = *timeout;
    absl::StatusOr<std::unique_ptr<Client>> client = Client::Connect(options);
    if (!client.ok()) return client.status();
    client_ = std::move(*client);
  }
  return client_.get();
}

absl::Status Context::PrintJson(const google::protobuf::Message& message, bool compact) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = !compact;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = false;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, options);
  if (!status.ok()) return absl::InternalError("the answer cannot be shown as JSON: " + status.ToString());
  io.out << json;
  if (json.empty() || json.back() != '\n') io.out << '\n';
  return absl::OkStatus();
}

}  // namespace librettos::ctl
