#include "guest/apps/options.h"

#include <gtest/gtest.h>

namespace librettos::apps {
namespace {

struct Parsed {
  bool ok = false;
  std::string_view port = "80", quiet;
  std::string_view words[2];
  size_t count = 0;
  std::string error;
};

Parsed Parse(std::vector<std::string_view> arguments) {
  Parsed parsed;
  const OptionSpec specs[] = {{"--port", "-p", true, &parsed.port}, {"--quiet", "", false, &parsed.quiet}};
  Line error;
  parsed.ok = ParseOptions(arguments, specs, parsed.words, &parsed.count, error);
  parsed.error = error.view();
  return parsed;
}

TEST(Options, TakesValuesInAllForms) {
  EXPECT_EQ(Parse({}).port, "80");
  EXPECT_EQ(Parse({"--port", "1"}).port, "1");
  EXPECT_EQ(Parse({"--port=2"}).port, "2");
  EXPECT_EQ(Parse({"-p", "3"}).port, "3");
  EXPECT_EQ(Parse({"--port="}).port, "");
}

TEST(Options, TellsWordsFromOptions) {
  const Parsed parsed = Parse({"send", "--quiet", "-1"});
  ASSERT_TRUE(parsed.ok);
  EXPECT_EQ(parsed.quiet, kSet);
  ASSERT_EQ(parsed.count, 2u);
  EXPECT_EQ(parsed.words[0], "send");
  EXPECT_EQ(parsed.words[1], "-1");
}

TEST(Options, SaysWhatIsWrong) {
  EXPECT_EQ(Parse({"--prt", "1"}).error, "unknown option '--prt'");
  EXPECT_EQ(Parse({"--port"}).error, "--port needs a value");
  EXPECT_EQ(Parse({"--quiet=1"}).error, "--quiet takes no value");
  EXPECT_EQ(Parse({"a", "b", "c"}).error, "'c' is one word too many");
  EXPECT_FALSE(Parse({"a", "b", "c"}).ok);
}

TEST(Options, ParsesNumbersWithinBounds) {
  Line error;
  uint64_t value = 0;
  EXPECT_TRUE(ParseNumber("-p", "65535", 1, 65535, &value, error));
  EXPECT_EQ(value, 65535u);
  for (std::string_view bad : {"", "0", "65536", "1x", "-1", " 1", "99999999999999999999999"}) {
    EXPECT_FALSE(ParseNumber("-p", bad, 1, 65535, &value, error)) << bad;
  }
}

TEST(Options, ParsesScaledNumbers) {
  Line error;
  uint64_t value = 0;
  EXPECT_TRUE(ParseScaled("-b", "10k", 1, UINT64_MAX, &value, error));
  EXPECT_EQ(value, 10'000u);
  EXPECT_TRUE(ParseScaled("-b", "2M", 1, UINT64_MAX, &value, error));
  EXPECT_EQ(value, 2'000'000u);
  EXPECT_TRUE(ParseScaled("-b", "3g", 1, UINT64_MAX, &value, error));
  EXPECT_EQ(value, 3'000'000'000u);
  EXPECT_TRUE(ParseScaled("-b", "7", 1, UINT64_MAX, &value, error));
  for (std::string_view bad : {"", "k", "1t", "18446744073709551615k", "0"}) {
    EXPECT_FALSE(ParseScaled("-b", bad, 1, UINT64_MAX, &value, error)) << bad;
  }
}

}  // namespace
}  // namespace librettos::apps
