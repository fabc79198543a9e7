#include "client/commands/units.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace librettos::ctl {
namespace {

// Two significant digits below 10, else whole numbers.
std::string Short(double value) {
  return value < 9.95 ? absl::StrFormat("%.1f", value) : absl::StrFormat("%.0f", value);
}

// Bytes of the well-formed UTF-8 sequence at the start of `text` that is not a control character; 0: there is
// none.
size_t PrintableSequence(absl::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  if (byte(0) < 0x80) return byte(0) >= 0x20 && byte(0) != 0x7f ? 1 : 0;
  const size_t length = byte(0) >= 0xf0 ? 4 : byte(0) >= 0xe0 ? 3 : 2;
  if (byte(0) < 0xc2 || byte(0) > 0xf4 || text.size() < length) return 0;
  uint32_t point = byte(0) & (0xff >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    point = point << 6 | (byte(i) & 0x3f);
  }
  constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool valid = point >= kLeast[length] && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
  const bool control = point < 0xa0;  // C1
  // Marks that change the direction of what follows would let a text forge its neighbours.
  const bool direction = (point >= 0x202a && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
  return valid && !control && !direction ? length : 0;
}

}  // namespace

std::string Bytes(uint64_t bytes) {
  if (bytes < 1024) return absl::StrCat(bytes, " B");
  constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes) / 1024;
  int unit = 0;
  while (value >= 1023.5 && unit < 5) {
    value /= 1024;
    ++unit;
  }
  return absl::StrCat(Short(value), " ", kUnits[unit]);
}

std::string Count(double count) {
  if (count < 9999.5) return absl::StrFormat("%.0f", count);
  constexpr const char* kUnits[] = {"k", "M", "G", "T", "P", "E"};
  count /= 1000;
  int unit = 0;
  while (count >= 999.5 && unit < 5) {
    count /= 1000;
    ++unit;
  }
  return absl::StrCat(Short(count), " ", kUnits[unit]);
}

std::string BitRate(double bytes_per_second) {
  double value = bytes_per_second * 8;
  if (value < 999.5) return absl::StrFormat("%.0f b/s", value);
  constexpr const char* kUnits[] = {"kb/s", "Mb/s", "Gb/s", "Tb/s"};
  value /= 1000;
  int unit = 0;
  while (value >= 999.5 && unit < 3) {
    value /= 1000;
    ++unit;
  }
  return absl::StrCat(Short(value), " ", kUnits[unit]);
}

std::string Time(absl::Duration duration) {
  if (duration < absl::ZeroDuration()) return absl::StrCat("-", Time(-duration));
  const double us = absl::ToDoubleMicroseconds(duration);
  if (us < 99.5) return absl::StrFormat("%.0f us", us);
  if (us < 9995) return absl::StrFormat("%.2f ms", us / 1e3);
  if (us < 999500) return absl::StrFormat("%.0f ms", us / 1e3);
  if (us < 59.95e6) return absl::StrFormat("%.1f s", us / 1e6);
  return absl::FormatDuration(absl::Trunc(duration + absl::Milliseconds(500), absl::Seconds(1)));
}

std::string Age(const google::protobuf::Timestamp& since, absl::Time now) {
  if (since.seconds() == 0) return "-";
  const int64_t s = std::max<int64_t>(0, absl::ToInt64Seconds(now - FromProto(since)));
  if (s < 120) return absl::StrCat(s, "s");
  if (s < 120 * 60) return absl::StrCat(s / 60, "m");
  if (s < 48 * 3600) return absl::StrCat(s / 3600, "h");
  return absl::StrCat(s / 86400, "d");
}

std::string When(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0) return "-";
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", FromProto(time), absl::UTCTimeZone());
}

absl::Duration FromProto(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

absl::Time FromProto(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

google::protobuf::Duration ToProto(absl::Duration duration) {
  google::protobuf::Duration result;
  absl::Duration rest;
  result.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &rest));
  result.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
  return result;
}

absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text) {
  absl::Duration duration;
  // "0" is the one number that absl takes without a unit; no duration here may be zero.
  if (!absl::ParseDuration(text, &duration)) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" is not a duration: give number and unit, e.g. 500ms, 5s or 1m30s"));
  }
  // proto3's Duration ends at 10,000 years.
  if (duration <= absl::ZeroDuration() || duration > absl::Hours(24 * 365 * 100)) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" cannot be used: a duration must be positive and finite"));
  }
  return duration;
}

std::string Printable(absl::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t length = PrintableSequence(text);
    if (length == 0) {
      absl::StrAppendFormat(&out, "\\x%02x", static_cast<unsigned char>(text[0]));
    } else {
      absl::StrAppend(&out, text.substr(0, length));
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return out;
}

size_t Width(absl::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
}

}  // namespace librettos::ctl
