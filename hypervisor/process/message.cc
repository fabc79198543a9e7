#include "hypervisor/process/message.h"

#include <string.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "hypervisor/process/path.h"

namespace librettos::process {
namespace {

enum class PathUse { kNone, kKey, kNic };

struct Shape {
  PathUse path;
  bool value;
  size_t descriptors;
};

// What a message of each type consists of; false: not one that a domain sends.
bool ShapeOf(uint16_t type, Shape* shape) {
  switch (static_cast<WireType>(type)) {
    case WireType::kPublish:
      *shape = {PathUse::kKey, true, 0};
      return true;
    case WireType::kRemove:
    case WireType::kWatch:
    case WireType::kUnwatch:
      *shape = {PathUse::kKey, false, 0};
      return true;
    case WireType::kGrant:
      *shape = {PathUse::kNone, false, 1};
      return true;
    case WireType::kOffer:
      *shape = {PathUse::kNone, false, 2};
      return true;
    case WireType::kRevoke:
    case WireType::kClosePort:
    case WireType::kMap:
    case WireType::kBind:
    case WireType::kDeclared:
      *shape = {PathUse::kNone, false, 0};
      return true;
    case WireType::kReturnDevice:
      *shape = {PathUse::kNic, false, 0};
      return true;
    case WireType::kHolding:
      *shape = {PathUse::kNic, false, 1};
      return true;
    default:
      return false;
  }
}

}  // namespace

std::string Encode(const Message& message) {
  WireHeader header{};
  header.type = static_cast<uint16_t>(message.type);
  header.path_bytes = static_cast<uint16_t>(message.path.size());
  header.value_bytes = static_cast<uint32_t>(message.value.size());
  header.id = message.id;
  header.number = message.number;
  header.a = message.a;
  header.b = message.b;
  return absl::StrCat(absl::string_view(reinterpret_cast<const char*>(&header), sizeof(header)), message.path,
                      message.value);
}

absl::StatusOr<Message> DecodeFromDomain(absl::string_view packet,
                                         std::vector<SharedDescriptor> descriptors) {
  WireHeader header;
  if (packet.size() < sizeof(header)) {
    return absl::InvalidArgumentError(
        absl::StrCat("packet of ", packet.size(), " bytes is shorter than a header"));
  }
  memcpy(&header, packet.data(), sizeof(header));
  Shape shape;
  if (!ShapeOf(header.type, &shape)) {
    return absl::InvalidArgumentError(absl::StrCat("unknown message type ", header.type));
  }
  const absl::string_view body = packet.substr(sizeof(header));
  if (header.path_bytes > kMaxPathBytes || header.value_bytes > kMaxValueBytes ||
      size_t{header.path_bytes} + header.value_bytes != body.size()) {
    return absl::InvalidArgumentError(absl::StrCat("message of type ", header.type, " with wrong lengths"));
  }
  if (descriptors.size() != shape.descriptors) {
    return absl::InvalidArgumentError(absl::StrCat("message of type ", header.type, " with ",
                                                   descriptors.size(), " descriptors instead of ",
                                                   shape.descriptors));
  }
  const absl::string_view path = body.substr(0, header.path_bytes);
  const bool path_ok = shape.path == PathUse::kNone  ? path.empty()
                       : shape.path == PathUse::kKey ? ValidPath(path)
                                                     : ValidNicName(path);
  if (!path_ok || (!shape.value && header.value_bytes != 0)) {
    return absl::InvalidArgumentError(absl::StrCat("message of type ", header.type, " with a malformed ",
                                                   path_ok ? "value" : "path or name"));
  }
  return Message{.type = static_cast<WireType>(header.type),
                 .id = header.id,
                 .number = header.number,
                 .a = header.a,
                 .b = header.b,
                 .path = std::string(path),
                 .value = std::string(body.substr(header.path_bytes)),
                 .descriptors = std::move(descriptors)};
}

}  // namespace librettos::process
