#include "client/commands/units.h"

#include <gtest/gtest.h>

namespace librettos::ctl {
namespace {

TEST(Units, Bytes) {
  EXPECT_EQ(Bytes(0), "0 B");
  EXPECT_EQ(Bytes(1023), "1023 B");
  EXPECT_EQ(Bytes(1024), "1.0 KiB");
  EXPECT_EQ(Bytes(10 * 1024), "10 KiB");
  EXPECT_EQ(Bytes((1 << 20) - 1), "1.0 MiB");
  EXPECT_EQ(Bytes(~uint64_t{0}), "16 EiB");
}

TEST(Units, Count) {
  EXPECT_EQ(Count(0), "0");
  EXPECT_EQ(Count(9999), "9999");
  EXPECT_EQ(Count(10000), "10 k");
  EXPECT_EQ(Count(999999), "1.0 M");
}

TEST(Units, BitRate) {
  EXPECT_EQ(BitRate(0), "0 b/s");
  EXPECT_EQ(BitRate(125), "1.0 kb/s");
  EXPECT_EQ(BitRate(1.175e9), "9.4 Gb/s");
}

TEST(Units, Time) {
  EXPECT_EQ(Time(absl::ZeroDuration()), "0 us");
  EXPECT_EQ(Time(absl::Microseconds(85)), "85 us");
  EXPECT_EQ(Time(absl::Microseconds(820)), "0.82 ms");
  EXPECT_EQ(Time(absl::Milliseconds(82)), "82 ms");
  EXPECT_EQ(Time(absl::Milliseconds(1500)), "1.5 s");
  EXPECT_EQ(Time(absl::Seconds(200)), "3m20s");
  EXPECT_EQ(Time(-absl::Milliseconds(82)), "-82 ms");
}

TEST(Units, Age) {
  google::protobuf::Timestamp since;
  EXPECT_EQ(Age(since, absl::UnixEpoch()), "-");
  since.set_seconds(1000);
  EXPECT_EQ(Age(since, absl::FromUnixSeconds(1119)), "119s");
  EXPECT_EQ(Age(since, absl::FromUnixSeconds(1120)), "2m");
  EXPECT_EQ(Age(since, absl::FromUnixSeconds(1000 + 7200)), "2h");
  EXPECT_EQ(Age(since, absl::FromUnixSeconds(1000 + 3 * 86400)), "3d");
  EXPECT_EQ(Age(since, absl::FromUnixSeconds(900)), "0s");  // Clocks differ.
}

TEST(Units, When) {
  google::protobuf::Timestamp time;
  EXPECT_EQ(When(time), "-");
  time.set_seconds(1700000000);
  EXPECT_EQ(When(time), "2023-11-14 22:13:20 UTC");
}

TEST(Units, DurationsFromPeople) {
  EXPECT_EQ(*ParseDuration("500ms"), absl::Milliseconds(500));
  EXPECT_EQ(*ParseDuration("5s"), absl::Seconds(5));
  EXPECT_EQ(*ParseDuration("1m30s"), absl::Seconds(90));
  EXPECT_EQ(*ParseDuration("1.5s"), absl::Milliseconds(1500));
}

TEST(Units, DurationsThatCannotBeUsed) {
  for (const char* text : {"", "5", "s", "5 s", "five", "0", "0s", "-1s", "inf", "1000000h", "5sx"}) {
    const absl::StatusOr<absl::Duration> duration = ParseDuration(text);
    EXPECT_EQ(duration.status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(Units, DurationsAsProto) {
  const google::protobuf::Duration proto = ToProto(absl::Milliseconds(1500));
  EXPECT_EQ(proto.seconds(), 1);
  EXPECT_EQ(proto.nanos(), 500'000'000);
  EXPECT_EQ(FromProto(proto), absl::Milliseconds(1500));
}

TEST(Units, PrintableKeepsText) { EXPECT_EQ(Printable("grüße, 世界 😀"), "grüße, 世界 😀"); }

TEST(Units, PrintableShowsWhatSteersATerminal) {
  EXPECT_EQ(Printable("\033[31m"), "\\x1b[31m");
  EXPECT_EQ(Printable("a\nb\x7f"), "a\\x0ab\\x7f");
  EXPECT_EQ(Printable("\xc2\x9b"), "\\xc2\\x9b");           // C1: CSI in one character
  EXPECT_EQ(Printable("\xe2\x80\xae"), "\\xe2\\x80\\xae");  // right-to-left override
}

TEST(Units, PrintableShowsBrokenUtf8) {
  EXPECT_EQ(Printable("\xff"), "\\xff");
  EXPECT_EQ(Printable("\xc3"), "\\xc3");                    // cut short
  EXPECT_EQ(Printable("\xc0\xaf"), "\\xc0\\xaf");           // longer than needed
  EXPECT_EQ(Printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // surrogate
  EXPECT_EQ(Printable("\xc3(x"), "\\xc3(x");
}

TEST(Units, WidthCountsCodePoints) {
  EXPECT_EQ(Width(""), 0u);
  EXPECT_EQ(Width("grüße"), 5u);
}

}  // namespace
}  // namespace librettos::ctl
