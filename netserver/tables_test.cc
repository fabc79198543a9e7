// The guest table and the fragment table.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "netserver/fragment_table.h"
#include "netserver/guest_table.h"
#include "netserver/testing_frames.h"

namespace librettos::netserver {
namespace {

using namespace testing;

GuestIdentity Identity(std::string_view text) {
  GuestIdentity identity;
  EXPECT_TRUE(GuestIdentity::Parse(text, identity)) << text;
  return identity;
}

TEST(GuestIdentity, Parses) {
  GuestIdentity identity = Identity("02:00:00:00:00:07 dedicated 10.1.0.7/24 fd00::7/64");
  EXPECT_EQ(identity.mac, M(7));
  EXPECT_FALSE(identity.shared);
  EXPECT_EQ(identity.addresses.count, 2u);
  EXPECT_TRUE(Identity("02:00:00:00:00:07 shared 10.1.0.7/24").shared);
  for (const char* text :
       {"", "02:00:00:00:00:07", "02:00:00:00:00:07 private 10.1.0.7/24", "x dedicated 10.1.0.7/24",
        "03:00:00:00:00:07 dedicated 10.1.0.7/24", "02:00:00:00:00:07 dedicated 10.1.0.7"}) {
    EXPECT_FALSE(GuestIdentity::Parse(text, identity)) << text;
  }
}

TEST(GuestTable, FindsByEverything) {
  auto table = std::make_unique<GuestTable>();
  for (uint32_t i = 0; i < kMaxGuests; ++i) {
    GuestIdentity identity;
    identity.mac = {2, 0, 0, 0, static_cast<uint8_t>(i >> 8), static_cast<uint8_t>(i)};
    identity.addresses.Add(Address::V4(0x0a000001 + i));
    identity.addresses.Add({0xfd00ull << 48, i + 1});
    ASSERT_TRUE(table->Add(i + 1, identity).ok());
  }
  EXPECT_EQ(table->Add(9999, {.mac = M(1), .shared = true}).error(), Error::kExhausted);
  for (uint32_t i = 0; i < kMaxGuests; ++i) {
    Guest* guest = table->Find(i + 1);
    ASSERT_TRUE(guest);
    EXPECT_EQ(table->FindMac(guest->identity.mac), guest);
    EXPECT_EQ(table->FindAddress(Address::V4(0x0a000001 + i)), guest);
    EXPECT_EQ(table->FindAddress({0xfd00ull << 48, i + 1}), guest);
    EXPECT_EQ(table->FindAddress(LinkLocal(guest->identity.mac)), guest);
  }
  EXPECT_EQ(table->FindAddress(A("10.9.9.9")), nullptr);
  table->Remove(table->Find(5));
  EXPECT_EQ(table->FindAddress(A("10.0.0.5")), nullptr);
  EXPECT_EQ(table->count(), kMaxGuests - 1);
  EXPECT_TRUE(table->Add(9999, {.mac = M(1), .shared = true}).ok());
}

TEST(GuestTable, RefusesWhatAnotherHas) {
  auto table = std::make_unique<GuestTable>();
  Guest* a = table->Add(1, Identity("02:00:00:00:00:01 dedicated 10.1.0.1/24")).value();
  EXPECT_EQ(table->Add(1, Identity("02:00:00:00:00:02 dedicated 10.1.0.2/24")).error(), Error::kInUse);
  EXPECT_EQ(table->Add(2, Identity("02:00:00:00:00:01 dedicated 10.1.0.2/24")).error(), Error::kInUse);
  EXPECT_EQ(table->Add(2, Identity("02:00:00:00:00:02 dedicated 10.1.0.1/24")).error(), Error::kInUse);
  Guest* b = table->Add(2, Identity("02:00:00:00:00:02 dedicated 10.1.0.2/24")).value();
  EXPECT_EQ(table->Change(b, a->identity).error(), Error::kInUse);
  EXPECT_TRUE(table->Change(b, Identity("02:00:00:00:00:02 dedicated 10.1.0.3/24")).ok());
  EXPECT_EQ(table->FindAddress(A("10.1.0.2")), nullptr);
  EXPECT_EQ(table->FindAddress(A("10.1.0.3")), b);
}

TEST(GuestTable, SharersAreNotFoundByWhatTheyShare) {
  auto table = std::make_unique<GuestTable>();
  ASSERT_TRUE(table->Add(1, Identity("02:00:00:00:00:ff shared 10.1.0.1/24")).ok());
  ASSERT_TRUE(table->Add(2, Identity("02:00:00:00:00:ff shared 10.1.0.1/24")).ok());
  EXPECT_EQ(table->FindMac(M(255)), nullptr);
  EXPECT_EQ(table->FindAddress(A("10.1.0.1")), nullptr);
}

class FragmentTableTest : public ::testing::Test {
 protected:
  static FragmentKey Key(uint32_t id) { return {A("10.1.0.1"), A("10.1.0.2"), id, kUdp}; }
  std::unique_ptr<FragmentTable> table_ = std::make_unique<FragmentTable>();
};

TEST_F(FragmentTableTest, RemembersUntilTimeOut) {
  table_->Learn(Key(1), 7, 1000);
  EXPECT_EQ(table_->Find(Key(1), 1000 + FragmentTable::kTimeout - 1), 7);
  EXPECT_EQ(table_->Find(Key(1), 1000 + FragmentTable::kTimeout), -1);
  EXPECT_EQ(table_->Find(Key(2), 1000), -1);
  FragmentKey other = Key(1);
  other.protocol = kTcp;
  EXPECT_EQ(table_->Find(other, 1000), -1);
}

TEST_F(FragmentTableTest, IsBoundedAndForgetsTheOldest) {
  for (uint32_t id = 0; id < 10 * FragmentTable::kDatagrams; ++id) table_->Learn(Key(id), 3, 1000 + id);
  uint32_t newest = 10 * FragmentTable::kDatagrams - 1;
  EXPECT_EQ(table_->Find(Key(newest), 1000 + newest), 3);
  EXPECT_EQ(table_->Find(Key(0), 1000 + newest), -1);
}

TEST_F(FragmentTableTest, ForgetsADeadGuest) {
  table_->Learn(Key(1), 7, 1000);
  table_->Learn(Key(2), 8, 1000);
  table_->Forget(7);
  EXPECT_EQ(table_->Find(Key(1), 1000), -1);
  EXPECT_EQ(table_->Find(Key(2), 1000), 8);
}

TEST_F(FragmentTableTest, HoldsInOrderAndWithinBounds) {
  Offload offload;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(table_->Hold(Key(1), Bytes(20 + i), {.checksum_valid = true}, 0, 1000));
  }
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(table_->Take(Key(1), 0, offload).size(), 20 + i);
  EXPECT_TRUE(offload.checksum_valid);
  EXPECT_TRUE(table_->Take(Key(1), 0, offload).empty());
  EXPECT_FALSE(table_->Hold(Key(1), Bytes(FragmentTable::kHeldBytes + 1), {}, 0, 1000)) << "too long";
  for (uint32_t i = 0; i < FragmentTable::kHeldPerDatagram; ++i)
    ASSERT_TRUE(table_->Hold(Key(1), Bytes(20), {}, 0, 1000));
  EXPECT_FALSE(table_->Hold(Key(1), Bytes(20), {}, 0, 1000)) << "too many of one datagram";
  for (uint32_t i = FragmentTable::kHeldPerDatagram; i < FragmentTable::kHeld; ++i) {
    ASSERT_TRUE(table_->Hold(Key(100 + i), Bytes(20), {}, 0, 1000));
  }
  EXPECT_FALSE(table_->Hold(Key(2), Bytes(20), {}, 0, 1000)) << "full";
  EXPECT_EQ(table_->Expire(1000 + FragmentTable::kTimeout - 1), 0u);
  EXPECT_EQ(table_->Expire(1000 + FragmentTable::kTimeout), FragmentTable::kHeld);
  EXPECT_TRUE(table_->Hold(Key(2), Bytes(20), {}, 0, 1000));
}

}  // namespace
}  // namespace librettos::netserver
