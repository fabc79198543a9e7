#include "netserver/address.h"

#include <gtest/gtest.h>

namespace librettos::netserver {
namespace {

TEST(Address, ParsesBothFamilies) {
  Address a;
  ASSERT_TRUE(ParseAddress("10.1.0.5", a));
  EXPECT_EQ(a, Address::V4(0x0a010005));
  ASSERT_TRUE(ParseAddress("fd00::5", a));
  EXPECT_EQ(a, (Address{0xfd00ull << 48, 5}));
  ASSERT_TRUE(ParseAddress("::", a));
  EXPECT_TRUE(a.unspecified());
  ASSERT_TRUE(ParseAddress("1:2:3:4:5:6:7:8", a));
  EXPECT_EQ(a, (Address{0x0001000200030004, 0x0005000600070008}));
  ASSERT_TRUE(ParseAddress("fe80::", a));
  EXPECT_TRUE(a.link_local());
  ASSERT_TRUE(ParseAddress("64:ff9b::1.2.3.4", a));
  EXPECT_EQ(a, (Address{0x0064ff9b00000000, 0x01020304}));
}

TEST(Address, RefusesWhatIsNotOne) {
  Address a;
  for (const char* text : {"", "10.1.0", "10.1.0.256", "10.1.0.5.6", "10.01.0.5", "10.1..5", ":::", "1:2",
                           "fd00::5::6", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7::8",
                           "g::", "12345::", "1:", "fd00::5%eth0", " ::1", "::1.2.3", "10.1.0.5/24"}) {
    EXPECT_FALSE(ParseAddress(text, a)) << text;
  }
}

TEST(Address, Lists) {
  AddressList list;
  ASSERT_TRUE(ParseAddressList("10.1.0.5/24  fd00::5/64", list));
  EXPECT_EQ(list.count, 2u);
  EXPECT_TRUE(list.Contains(Address::V4(0x0a010005)));
  ASSERT_TRUE(ParseAddressList("", list));
  EXPECT_EQ(list.count, 0u);
  for (const char* text : {"10.1.0.5", "10.1.0.5/33", "fd00::5/129", "10.1.0.5/24 x/1", "0.0.0.0/0",
                           "224.0.0.1/4", "ff02::1/64", "10.1.0.5/"}) {
    EXPECT_FALSE(ParseAddressList(text, list)) << text;
    EXPECT_EQ(list.count, 0u);
  }
}

TEST(Address, MacAndLinkLocal) {
  MacAddress mac;
  ASSERT_TRUE(ParseMac("02:00:5e:10:00:Ff", mac));
  EXPECT_EQ(ToNumber(mac), 0x02005e1000ffull);
  EXPECT_EQ(LinkLocal(mac), (Address{0xfe80ull << 48, 0x00005efffe1000ff}));
  for (const char* text :
       {"", "02:00:5e:10:00", "02-00-5e-10-00-ff", "02:00:5e:10:00:fg", "02:00:5e:10:00:ff:"}) {
    EXPECT_FALSE(ParseMac(text, mac)) << text;
  }
}

}  // namespace
}  // namespace librettos::netserver
