// Figures for people, and durations from people.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"

namespace librettos::ctl {

// "17 B", "1.4 KiB", "23 MiB": three digits or so.
std::string Bytes(uint64_t bytes);

// "0", "950", "12.3 k", "1.2 M": a number of things, decimal.
std::string Count(double count);

// "0 b/s", "9.4 Gb/s": from bytes per second.
std::string BitRate(double bytes_per_second);

// "85 us", "0.82 ms", "1.5 s", "3m20s".
std::string Time(absl::Duration duration);

// A resource's age, in one unit: "5s", "3m", "4h", "12d". "-" for one that is not known.
std::string Age(const google::protobuf::Timestamp& since, absl::Time now);

// "2026-11-23 11:30:02 UTC"; "-" if unset.
std::string When(const google::protobuf::Timestamp& time);

absl::Duration FromProto(const google::protobuf::Duration& duration);
absl::Time FromProto(const google::protobuf::Timestamp& time);
google::protobuf::Duration ToProto(absl::Duration duration);

// "500ms", "5s", "1m30s". INVALID_ARGUMENT with an example in the text: no unit, zero, negative, infinite.
absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text);

// `text` with everything that could steer a terminal (control characters, broken UTF-8) as "\xNN". Texts from
// the daemon may hold what a guest wrote.
std::string Printable(absl::string_view text);

// Columns that `text` (valid UTF-8) takes: its code points.
size_t Width(absl::string_view text);

}  // namespace librettos::ctl
