#include "netserver/lease_table.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>

#include "netserver/packet.h"

namespace librettos::netserver {
namespace {

using channel::ControlMessage;
using channel::ControlType;
using channel::LeaseStatus;

// SipHash reference, Appendix A of the paper.
TEST(SipHash, Reference) {
  SipKey key;
  uint8_t message[15];
  for (uint8_t i = 0; i < 16; ++i) key[i] = i;
  for (uint8_t i = 0; i < 15; ++i) message[i] = i;
  EXPECT_EQ(SipHash24(key, message), 0xa129ca6149be45e5u);
  EXPECT_EQ(SipHash24(key, {}), 0x726fdb47dd0e0e31u);
}

class LeaseTableTest : public ::testing::Test {
 protected:
  void SetUp() override {
    a_ = Add(1);
    b_ = Add(2);
    dedicated_ = guests_.Add(3, {.mac = {2, 0, 0, 0, 0, 9}}).value();
    leases_->SetKey(SipKey{1, 2, 3});
    leases_->Start(5);
  }
  Guest* Add(DomainId id) { return guests_.Add(id, {.mac = {2}, .shared = true}).value(); }
  ControlMessage Ask(Guest* guest, uint8_t protocol, uint16_t port, uint32_t id = 1, uint64_t random = 0) {
    ControlMessage request{}, reply{};
    request.type = static_cast<uint16_t>(ControlType::kLeaseRequest);
    request.id = id;
    request.protocol = protocol;
    request.port = port;
    leases_->Request(*guest, request, random, reply);
    EXPECT_EQ(reply.id, id);
    EXPECT_EQ(reply.protocol, protocol);
    return reply;
  }
  static LeaseStatus StatusOf(const ControlMessage& reply) { return static_cast<LeaseStatus>(reply.status); }
  static channel::Lease LeaseOf(const ControlMessage& reply) {
    return {reply.protocol, reply.port, reply.sequence, reply.token};
  }

  GuestTable guests_;
  std::unique_ptr<LeaseTable> leases_ = std::make_unique<LeaseTable>();
  Guest *a_, *b_, *dedicated_;
};

TEST_F(LeaseTableTest, OneHolderPerProtocolAndPort) {
  ControlMessage first = Ask(a_, kTcp, 80);
  EXPECT_EQ(StatusOf(first), LeaseStatus::kGranted);
  EXPECT_EQ(first.sequence, (5ull << 32) + 1);
  EXPECT_EQ(StatusOf(Ask(b_, kTcp, 80)), LeaseStatus::kInUse);
  EXPECT_EQ(StatusOf(Ask(b_, kUdp, 80)), LeaseStatus::kGranted);
  EXPECT_EQ(leases_->Owner(kTcp, 80), static_cast<int>(a_->slot));
  EXPECT_EQ(leases_->Owner(kUdp, 80), static_cast<int>(b_->slot));
  EXPECT_EQ(leases_->Owner(kTcp, 81), -1);
  EXPECT_EQ(leases_->Owner(kIcmp, 80), -1);
}

TEST_F(LeaseTableTest, AskingAgainChangesNothing) {
  ControlMessage first = Ask(a_, kTcp, 80, 1), second = Ask(a_, kTcp, 80, 2);
  EXPECT_EQ(first.sequence, second.sequence);
  EXPECT_EQ(first.token, second.token);
  ControlMessage any = Ask(a_, kTcp, 0, 3, 100), again = Ask(a_, kTcp, 0, 3, 200);
  EXPECT_EQ(any.port, kFirstEphemeralPort + 100);
  EXPECT_EQ(again.port, any.port);
  EXPECT_EQ(a_->lease_count, 2u);
}

TEST_F(LeaseTableTest, ARequestIsKnownByProtocolAndId) {
  ControlMessage first = Ask(a_, kTcp, 0, 1, 0);
  EXPECT_EQ(Ask(a_, kUdp, 0, 1, 0).port, first.port) << "another protocol, another lease";
  EXPECT_EQ(a_->lease_count, 2u);
  leases_->Release(*a_, kTcp, first.port, 0);
  EXPECT_NE(Ask(a_, kTcp, 0, 1, 7).port, first.port) << "released: granted anew";
  ControlMessage late = Ask(a_, kTcp, 0, 1 + channel::kMaxLeases, 50);
  EXPECT_EQ(Ask(a_, kTcp, 0, 1 + channel::kMaxLeases, 60).port, late.port);
}

TEST_F(LeaseTableTest, Refusals) {
  EXPECT_EQ(StatusOf(Ask(dedicated_, kTcp, 80)), LeaseStatus::kNotShared);
  EXPECT_EQ(StatusOf(Ask(a_, kIcmp, 80)), LeaseStatus::kBadRequest);
}

TEST_F(LeaseTableTest, ReleaseFreesOnlyTheOwnAndTheSame) {
  ControlMessage first = Ask(a_, kTcp, 80);
  leases_->Release(*b_, kTcp, 80, 0);
  EXPECT_EQ(leases_->Owner(kTcp, 80), static_cast<int>(a_->slot));
  leases_->Release(*a_, kTcp, 80, first.sequence - 1);
  EXPECT_EQ(leases_->Owner(kTcp, 80), static_cast<int>(a_->slot)) << "a release of an earlier lease";
  leases_->Release(*a_, kTcp, 80, first.sequence);
  EXPECT_EQ(leases_->Owner(kTcp, 80), -1);
  leases_->Release(*a_, kTcp, 80, 0);
  EXPECT_EQ(a_->lease_count, 0u);
  EXPECT_EQ(StatusOf(Ask(b_, kTcp, 80)), LeaseStatus::kGranted);
}

TEST_F(LeaseTableTest, EphemeralPortsSkipTakenAndWrap) {
  Ask(b_, kTcp, 65535);
  EXPECT_EQ(Ask(a_, kTcp, 0, 9, 16383).port, kFirstEphemeralPort);
  EXPECT_EQ(Ask(a_, kTcp, 0, 10, ~0ull).port, kFirstEphemeralPort + 1);
}

TEST_F(LeaseTableTest, QuotaAndExhaustion) {
  for (uint32_t i = 0; i < channel::kMaxLeases; ++i) {
    ASSERT_EQ(StatusOf(Ask(a_, kUdp, static_cast<uint16_t>(1000 + i))), LeaseStatus::kGranted);
  }
  EXPECT_EQ(StatusOf(Ask(a_, kUdp, 999)), LeaseStatus::kExhausted);
  EXPECT_EQ(StatusOf(Ask(a_, kUdp, 1000)), LeaseStatus::kGranted) << "held already";
  EXPECT_EQ(StatusOf(Ask(b_, kUdp, 999)), LeaseStatus::kGranted) << "another's quota";
  // Sixteen guests fill all ephemeral ports.
  std::set<uint16_t> ports;
  for (DomainId id = 10; id < 26; ++id) {
    Guest* guest = Add(id);
    for (uint32_t i = 0; i < channel::kMaxLeases; ++i) ports.insert(Ask(guest, kTcp, 0, i + 1, i * 77).port);
  }
  EXPECT_EQ(ports.size(), 16384u);
  EXPECT_EQ(*ports.begin(), kFirstEphemeralPort);
  EXPECT_EQ(StatusOf(Ask(b_, kTcp, 0)), LeaseStatus::kExhausted);
}

TEST_F(LeaseTableTest, SuccessorTakesWhatWasGranted) {
  ControlMessage granted = Ask(a_, kTcp, 80);
  leases_->Start(6);
  EXPECT_EQ(leases_->Owner(kTcp, 80), -1);
  a_->lease_count = 0;
  EXPECT_EQ(leases_->Declare(*a_, LeaseOf(granted), guests_), Reclaim::kTaken);
  EXPECT_EQ(leases_->Declare(*a_, LeaseOf(granted), guests_), Reclaim::kTaken) << "again";
  EXPECT_EQ(a_->lease_count, 1u);
  EXPECT_EQ(Ask(a_, kTcp, 80).sequence, granted.sequence);
  EXPECT_GT(Ask(a_, kTcp, 81).sequence, granted.sequence);
}

TEST_F(LeaseTableTest, ForgeriesAreRefused) {
  channel::Lease lease = LeaseOf(Ask(a_, kTcp, 80));
  leases_->Start(6);
  a_->lease_count = 0;
  EXPECT_EQ(leases_->Declare(*b_, lease, guests_), Reclaim::kForged) << "another's token";
  EXPECT_EQ(leases_->Declare(*dedicated_, lease, guests_), Reclaim::kForged);
  channel::Lease port = lease, sequence = lease, protocol = lease, none = lease;
  port.port = 443;
  ++sequence.sequence;
  protocol.protocol = kUdp;
  none.protocol = 1;
  for (const channel::Lease& forged : {port, sequence, protocol, none}) {
    EXPECT_EQ(leases_->Declare(*a_, forged, guests_), Reclaim::kForged);
  }
  EXPECT_EQ(leases_->Owner(kTcp, 80), -1);
}

TEST_F(LeaseTableTest, HigherSequenceWins) {
  ControlMessage old = Ask(a_, kTcp, 80);
  leases_->Release(*a_, kTcp, 80, 0);
  ControlMessage young = Ask(b_, kTcp, 80);
  for (bool young_first : {true, false}) {
    leases_->Start(6);
    a_->lease_count = b_->lease_count = 0;
    if (young_first) {
      EXPECT_EQ(leases_->Declare(*b_, LeaseOf(young), guests_), Reclaim::kTaken);
    }
    EXPECT_EQ(leases_->Declare(*a_, LeaseOf(old), guests_), young_first ? Reclaim::kStale : Reclaim::kTaken);
    if (!young_first) {
      EXPECT_EQ(leases_->Declare(*b_, LeaseOf(young), guests_), Reclaim::kTaken);
    }
    EXPECT_EQ(leases_->Owner(kTcp, 80), static_cast<int>(b_->slot));
    EXPECT_EQ(a_->lease_count, 0u);
    EXPECT_EQ(b_->lease_count, 1u);
  }
}

TEST_F(LeaseTableTest, ADeadGuestsLeasesAreFree) {
  Ask(a_, kTcp, 80);
  Ask(a_, kUdp, 53);
  Ask(b_, kTcp, 81);
  leases_->ReleaseAll(*a_);
  EXPECT_EQ(leases_->Owner(kTcp, 80), -1);
  EXPECT_EQ(leases_->Owner(kUdp, 53), -1);
  EXPECT_EQ(leases_->Owner(kTcp, 81), static_cast<int>(b_->slot));
  EXPECT_EQ(a_->lease_count, 0u);
}

}  // namespace
}  // namespace librettos::netserver
