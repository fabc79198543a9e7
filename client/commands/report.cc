#include "client/commands/report.h"

#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/commands/units.h"
#include "client/error.h"
#include "client/names.h"

namespace librettos::ctl {
namespace {

// What to do about an error that does not say so itself.
std::string NextStep(const absl::Status& status, const std::optional<v1::ErrorInfo>& info,
                     absl::string_view socket) {
  const absl::string_view collection = info.has_value() ? CollectionOf(info->resource()) : "";
  switch (status.code()) {
    case absl::StatusCode::kNotFound:
      if (collection.empty()) return "see what there is: librettosctl guest|server|nic|operation list";
      // "guests" is listed by "guest list".
      return absl::StrCat("see what there is: librettosctl ", collection.substr(0, collection.size() - 1),
                          " list");
    case absl::StatusCode::kAlreadyExists:
      return "choose another name, or delete the present one first";
    case absl::StatusCode::kAborted:
      return "look at its present state (describe) and try again";
    case absl::StatusCode::kUnavailable:
      return absl::StrCat("is librettosd running, and is ", socket, " its socket (-s)? Then try again");
    case absl::StatusCode::kDeadlineExceeded:
      return "look at its present state (describe); give more time with --timeout";
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
      return absl::StrCat("run it as root, or as a user that may open ", socket);
    case absl::StatusCode::kInternal:
      return "see the daemon's log";
    case absl::StatusCode::kUnimplemented:
      return "librettosctl and librettosd are of different versions: install the same";
    default:
      return "";
  }
}

}  // namespace

std::string RenderError(absl::string_view what, const absl::Status& status, absl::string_view socket) {
  const std::optional<v1::ErrorInfo> info = ErrorInfoOf(status);
  std::string next = info.has_value() && !info->next_step().empty() ? Printable(info->next_step())
                                                                    : NextStep(status, info, socket);
  absl::string_view why = status.message();
  // The daemon's text may end with the next step: say it once.
  if (info.has_value() && !info->next_step().empty()) {
    absl::string_view shorter = why;
    if (absl::ConsumeSuffix(&shorter, info->next_step())) {
      shorter = absl::StripTrailingAsciiWhitespace(shorter);
      while (absl::ConsumeSuffix(&shorter, ":") || absl::ConsumeSuffix(&shorter, ";") ||
             absl::ConsumeSuffix(&shorter, ".") || absl::ConsumeSuffix(&shorter, ",")) {
      }
      if (!shorter.empty()) why = shorter;
    }
  }
  std::string text =
      absl::StrCat("librettosctl: ", Printable(what), ": ",
                   why.empty() ? absl::StatusCodeToString(status.code()) : Printable(why), "\n");
  if (!next.empty()) absl::StrAppend(&text, "  next: ", next, "\n");
  return text;
}

}  // namespace librettos::ctl
