#include "guest/apps/text.h"

#include <gtest/gtest.h>

#include <cstring>

namespace librettos::apps {
namespace {

sockets::Address Ipv6(std::initializer_list<int> groups) {
  sockets::Address address;
  address.family = sockets::Family::kIpv6;
  address.port = 80;
  int i = 0;
  for (int group : groups) {
    address.bytes[i++] = static_cast<uint8_t>(group >> 8);
    address.bytes[i++] = static_cast<uint8_t>(group);
  }
  return address;
}

std::string Show(const sockets::Address& address) {
  Line line;
  line.AddEndpoint(address);
  return std::string(line.view());
}

TEST(Text, AddsNumbers) {
  Line line;
  line.AddNumber(0).Add(' ').AddNumber(UINT64_MAX).Add(' ').AddSigned(INT64_MIN).Add(' ').AddSigned(5);
  EXPECT_EQ(line.view(), "0 18446744073709551615 -9223372036854775808 5");
}

TEST(Text, AddsFixedPoint) {
  Line line;
  line.AddFixed(1'234'567, 1'000'000, 3).Add(' ').AddFixed(5, 1000, 3).Add(' ').AddFixed(7, 2, 0);
  EXPECT_EQ(line.view(), "1.234 0.005 3");
}

TEST(Text, CutsWhatDoesNotFitAndSaysSo) {
  TextOf<4> text;
  text.Add("abcd");
  EXPECT_FALSE(text.overflowed());
  text.Add("e");
  EXPECT_TRUE(text.overflowed());
  EXPECT_EQ(text.view(), "abcd");
  text.Clear();
  EXPECT_FALSE(text.overflowed());
  EXPECT_EQ(text.view(), "");
}

TEST(Text, AddsIpv4Endpoints) {
  sockets::Address address;
  const uint8_t bytes[] = {10, 0, 255, 1};
  std::memcpy(address.bytes, bytes, 4);
  address.port = 65535;
  EXPECT_EQ(Show(address), "10.0.255.1:65535");
}

TEST(Text, AddsIpv6EndpointsInCanonicalForm) {
  EXPECT_EQ(Show(Ipv6({0, 0, 0, 0, 0, 0, 0, 0})), "[::]:80");
  EXPECT_EQ(Show(Ipv6({0, 0, 0, 0, 0, 0, 0, 1})), "[::1]:80");
  EXPECT_EQ(Show(Ipv6({0xfd00, 0, 0, 0, 0, 0, 0, 5})), "[fd00::5]:80");
  EXPECT_EQ(Show(Ipv6({1, 0, 0, 2, 0, 0, 0, 3})), "[1:0:0:2::3]:80");
  EXPECT_EQ(Show(Ipv6({1, 0, 0, 2, 3, 0, 0, 4})), "[1::2:3:0:0:4]:80");
  EXPECT_EQ(Show(Ipv6({1, 0, 2, 3, 4, 5, 6, 7})), "[1:0:2:3:4:5:6:7]:80");
  EXPECT_EQ(Show(Ipv6({1, 2, 3, 4, 5, 6, 0, 0})), "[1:2:3:4:5:6::]:80");
}

}  // namespace
}  // namespace librettos::apps
