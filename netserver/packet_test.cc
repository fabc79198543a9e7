#include "netserver/packet.h"

#include <gtest/gtest.h>

#include <random>

#include "netserver/testing_frames.h"

namespace librettos::netserver {
namespace {

using namespace testing;

const Bytes k4 = Ethernet(M(1), M(2), kEtherIpv4);
const Bytes k6 = Ethernet(M(1), M(2), kEtherIpv6);
const Address kA = A("10.1.0.1"), kB = A("10.1.0.2"), kC = A("fd00::1"), kD = A("fd00::2");

TEST(Packet, Udp4WithOptions) {
  for (int options = 0; options <= 40; options += 4) {
    Packet p;
    ASSERT_EQ(ParseFrame(k4 + Ipv4(kA, kB, Udp(5, 6), {.options = options}), p), Parsed::kOk) << options;
    EXPECT_EQ(p.source, kA);
    EXPECT_EQ(p.destination, kB);
    EXPECT_EQ(p.transport_offset, 34 + options);
    EXPECT_TRUE(p.has_ports);
    EXPECT_EQ(p.source_port, 5);
    EXPECT_EQ(p.destination_port, 6);
    EXPECT_EQ(p.source_mac, M(1));
    EXPECT_FALSE(p.fragment);
  }
}

TEST(Packet, PaddingIsNotPartOfThePacket) {
  Packet p;
  ASSERT_EQ(ParseFrame(k4 + Ipv4(kA, kB, Udp(5, 6, 0)) + Bytes(18), p), Parsed::kOk);
  EXPECT_EQ(p.end, 42u);
}

TEST(Packet, EveryTruncationIsRefused) {
  for (const Bytes& whole :
       {k4 + Ipv4(kA, kB, Tcp(5, 6), {.protocol = kTcp}), k6 + Ipv6(kC, kD, kTcp, Tcp(5, 6)),
        Arp(kArpRequest, M(1), kA, kB), k4 + Ipv4(kA, kB, Icmp(8), {.protocol = kIcmp})}) {
    Packet p;
    ASSERT_EQ(ParseFrame(whole, p), Parsed::kOk);
    for (size_t length = 0; length < whole.size(); ++length) {
      EXPECT_EQ(ParseFrame(Bytes(whole.begin(), whole.begin() + length), p), Parsed::kMalformed) << length;
    }
  }
}

TEST(Packet, BadIpv4Headers) {
  auto with = [](size_t at, uint8_t value) {
    Bytes frame = k4 + Ipv4(kA, kB, Udp(5, 6));
    frame[14 + at] = std::byte{value};
    return frame;
  };
  Packet p;
  EXPECT_EQ(ParseFrame(with(0, 0x65), p), Parsed::kMalformed) << "version";
  EXPECT_EQ(ParseFrame(with(0, 0x44), p), Parsed::kMalformed) << "header of 16 bytes";
  EXPECT_EQ(ParseFrame(with(0, 0x4f), p), Parsed::kMalformed) << "header longer than the packet";
  EXPECT_EQ(ParseFrame(with(3, 19), p), Parsed::kMalformed) << "total shorter than the header";
  EXPECT_EQ(ParseFrame(with(2, 1), p), Parsed::kMalformed) << "total longer than the frame";
  EXPECT_EQ(ParseFrame(with(12, 224), p), Parsed::kMalformed) << "multicast source";
  EXPECT_EQ(ParseFrame(with(25, 7), p), Parsed::kMalformed) << "UDP length below its header";
  EXPECT_EQ(ParseFrame(with(25, 17), p), Parsed::kMalformed) << "UDP length beyond the packet";
  Bytes tcp = k4 + Ipv4(kA, kB, Tcp(5, 6), {.protocol = kTcp});
  tcp[34 + 12] = std::byte{0x40};
  EXPECT_EQ(ParseFrame(tcp, p), Parsed::kMalformed) << "TCP header of 16 bytes";
  tcp[34 + 12] = std::byte{0x60};
  EXPECT_EQ(ParseFrame(tcp, p), Parsed::kMalformed) << "TCP header beyond the packet";
}

TEST(Packet, OtherEtherTypesAndSources) {
  Packet p;
  EXPECT_EQ(ParseFrame(Ethernet(M(1), M(2), 0x8100) + Bytes(46), p), Parsed::kUnsupported);
  EXPECT_EQ(ParseFrame(Ethernet({1, 0, 0, 0, 0, 1}, M(2), kEtherIpv4) + Ipv4(kA, kB, Udp(1, 2)), p),
            Parsed::kMalformed);
}

TEST(Packet, Fragments4) {
  Packet p;
  ASSERT_EQ(ParseFrame(k4 + Ipv4(kA, kB, Udp(5, 6, 16), {.id = 9, .more = true}), p), Parsed::kOk);
  EXPECT_TRUE(p.fragment && p.first_fragment && p.has_ports);
  EXPECT_EQ(p.fragment_id, 9u);
  ASSERT_EQ(ParseFrame(k4 + Ipv4(kA, kB, Bytes(11), {.id = 9, .offset = 24}), p), Parsed::kOk);
  EXPECT_TRUE(p.fragment && !p.first_fragment && !p.has_ports);
  EXPECT_EQ(ParseFrame(k4 + Ipv4(kA, kB, Bytes(11), {.offset = 24, .more = true}), p), Parsed::kMalformed)
      << "not in units of 8";
  EXPECT_EQ(ParseFrame(k4 + Ipv4(kA, kB, Bytes(64), {.offset = 65528}), p), Parsed::kMalformed)
      << "ends beyond 65535";
  EXPECT_EQ(ParseFrame(k4 + Ipv4(kA, kB, Bytes(8), {.protocol = kTcp, .more = true}), p), Parsed::kMalformed)
      << "first fragment without its TCP header";
}

Bytes Extension(uint8_t next, int words = 0) {
  Bytes out;
  Add(out, next, 1);
  Add(out, words, 1);
  out.resize(8 + 8 * words, std::byte{1});
  return out;
}

Bytes Fragment6(uint8_t next, uint16_t offset, bool more) {
  Bytes out;
  Add(out, next, 1);
  Add(out, 0, 1);
  Add(out, offset | more, 2);
  Add(out, 77, 4);
  return out;
}

TEST(Packet, Ipv6ExtensionHeaders) {
  Packet p;
  ASSERT_EQ(ParseFrame(k6 + Ipv6(kC, kD, 0, Extension(60) + Extension(kUdp, 1) + Udp(5, 6)), p), Parsed::kOk);
  EXPECT_EQ(p.protocol, kUdp);
  EXPECT_EQ(p.transport_offset, 54 + 8 + 16);
  EXPECT_EQ(p.destination_port, 6);
  EXPECT_EQ(ParseFrame(k6 + Ipv6(kC, kD, 60, Extension(0) + Extension(kUdp) + Udp(5, 6)), p),
            Parsed::kMalformed)
      << "hop-by-hop not first";
  EXPECT_EQ(ParseFrame(k6 + Ipv6(kC, kD, 60, Extension(kUdp, 9)), p), Parsed::kMalformed) << "too short";
  EXPECT_EQ(ParseFrame(k6 + Ipv6(kC, kD, 60, Extension(kUdp, 30) + Udp(5, 6)), p), Parsed::kUnsupported)
      << "ports beyond what is looked at";
  Bytes many;
  for (int i = 0; i < 12; ++i) many = many + Extension(60);
  EXPECT_EQ(ParseFrame(k6 + Ipv6(kC, kD, 60, many + Extension(kUdp) + Udp(5, 6)), p), Parsed::kUnsupported);
  Bytes routing = Extension(kUdp);
  routing[2] = std::byte{0};
  EXPECT_EQ(ParseFrame(k6 + Ipv6(kC, kD, 43, routing + Udp(5, 6)), p), Parsed::kUnsupported)
      << "source route";
  EXPECT_EQ(ParseFrame(k6 + Ipv6(kC, A("::ffff:10.1.0.2"), kUdp, Udp(5, 6)), p), Parsed::kMalformed)
      << "mapped";
  ASSERT_EQ(ParseFrame(k6 + Ipv6(kC, kD, 59, {}), p), Parsed::kOk);
  EXPECT_FALSE(p.has_ports);
}

TEST(Packet, Fragments6) {
  Packet p;
  ASSERT_EQ(ParseFrame(k6 + Ipv6(kC, kD, 44, Fragment6(kUdp, 0, true) + Udp(5, 6)), p), Parsed::kOk);
  EXPECT_TRUE(p.first_fragment && p.has_ports);
  EXPECT_EQ(p.fragment_id, 77u);
  ASSERT_EQ(ParseFrame(k6 + Ipv6(kC, kD, 44, Fragment6(kUdp, 16, false) + Bytes(5)), p), Parsed::kOk);
  EXPECT_TRUE(p.fragment && !p.first_fragment && !p.has_ports);
  ASSERT_EQ(ParseFrame(k6 + Ipv6(kC, kD, 44, Fragment6(kUdp, 0, false) + Udp(5, 6)), p), Parsed::kOk);
  EXPECT_FALSE(p.fragment) << "atomic";
  EXPECT_EQ(
      ParseFrame(k6 + Ipv6(kC, kD, 44, Fragment6(44, 0, true) + Fragment6(kUdp, 0, true) + Udp(5, 6)), p),
      Parsed::kMalformed);
  EXPECT_EQ(ParseFrame(k6 + Ipv6(kC, kD, 44, Fragment6(kUdp, 0, true) + Bytes(7)), p), Parsed::kMalformed);
  EXPECT_EQ(ParseFrame(k6 + Ipv6(kC, kD, 44, Fragment6(kIcmp6, 0, true) + Nd(135, kD, nullptr), 255), p),
            Parsed::kMalformed)
      << "neighbour discovery in fragments";
}

TEST(Packet, IcmpErrorsQuote) {
  Packet p;
  ASSERT_EQ(ParseFrame(
                k4 + Ipv4(kA, kB, Icmp(3, Ipv4(kB, kA, Udp(5, 6), {.options = 40})), {.protocol = kIcmp}), p),
            Parsed::kOk);
  EXPECT_TRUE(p.icmp_error && p.has_quote);
  EXPECT_EQ(p.quote_source, kB);
  EXPECT_EQ(p.quote_source_port, 5);
  EXPECT_EQ(p.quote_destination_port, 6);
  // RFC 792: eight bytes of the packet are quoted, less than its length says.
  Bytes quote = Ipv4(kB, kA, Tcp(5, 6, 1000), {.protocol = kTcp});
  quote.resize(28);
  ASSERT_EQ(ParseFrame(k4 + Ipv4(kA, kB, Icmp(3, quote), {.protocol = kIcmp}), p), Parsed::kOk);
  EXPECT_TRUE(p.has_quote);
  EXPECT_EQ(p.quote_protocol, kTcp);
  quote.resize(22);
  ASSERT_EQ(ParseFrame(k4 + Ipv4(kA, kB, Icmp(3, quote), {.protocol = kIcmp}), p), Parsed::kOk);
  EXPECT_FALSE(p.has_quote);
  ASSERT_EQ(ParseFrame(k6 + Ipv6(kC, kD, kIcmp6, Icmp(2, Ipv6(kD, kC, kUdp, Udp(5, 6)))), p), Parsed::kOk);
  EXPECT_TRUE(p.icmp_error && p.has_quote);
  EXPECT_EQ(p.quote_source, kD);
}

TEST(Packet, NeighbourDiscovery) {
  Packet p;
  MacAddress mac = M(9);
  ASSERT_EQ(ParseFrame(k6 + Ipv6(kC, kD, kIcmp6, Nd(135, kD, &mac), 255), p), Parsed::kOk);
  EXPECT_TRUE(p.neighbour_discovery && p.has_link_address);
  EXPECT_EQ(p.nd_target, kD);
  EXPECT_EQ(p.link_address, mac);
  EXPECT_EQ(ParseFrame(k6 + Ipv6(kC, kD, kIcmp6, Nd(135, kD, &mac), 254), p), Parsed::kMalformed) << "routed";
  Bytes twice = Nd(136, kD, &mac, 2);
  Add(twice, 0x0201, 2);
  Add(twice, M(8));
  EXPECT_EQ(ParseFrame(k6 + Ipv6(kC, kD, kIcmp6, twice, 255), p), Parsed::kMalformed) << "two link addresses";
  Bytes zero = Nd(135, kD, nullptr) + Bytes(8);
  EXPECT_EQ(ParseFrame(k6 + Ipv6(kC, kD, kIcmp6, zero, 255), p), Parsed::kMalformed) << "option of no length";
  Bytes hidden = Nd(135, kD, nullptr);
  for (int i = 0; i < 16; ++i) Add(hidden, 0x0e01000000000000, 8);
  Add(hidden, 0x0101, 2);
  Add(hidden, M(8));
  EXPECT_EQ(ParseFrame(k6 + Ipv6(kC, kD, kIcmp6, hidden, 255), p), Parsed::kUnsupported)
      << "option out of sight";
}

TEST(Packet, Arp) {
  Packet p;
  ASSERT_EQ(ParseFrame(Arp(kArpRequest, M(1), kA, kB), p), Parsed::kOk);
  EXPECT_EQ(p.network, Network::kArp);
  EXPECT_EQ(p.arp_sender_mac, M(1));
  EXPECT_EQ(p.source, kA);
  EXPECT_EQ(p.destination, kB);
  Bytes bad = Arp(kArpRequest, M(1), kA, kB);
  bad[18] = std::byte{8};
  EXPECT_EQ(ParseFrame(bad, p), Parsed::kMalformed);
  EXPECT_EQ(ParseFrame(Arp(3, M(1), kA, kB), p), Parsed::kUnsupported);
}
TEST(Packet, ArpOfAGroupIsRefused) {
  Packet p;
  EXPECT_EQ(ParseFrame(Arp(kArpReply, M(1), A("224.0.0.1"), kB, M(2)), p), Parsed::kMalformed);
  Bytes reply = Arp(kArpReply, M(1), kA, kB, M(2));
  reply[22] = std::byte{0x33};  // The sender's hardware address.
  EXPECT_EQ(ParseFrame(reply, p), Parsed::kMalformed);
}

// Whatever comes in, nothing outside is read (run under a sanitizer) and nothing is claimed that is not
// there.
TEST(Packet, RandomChangesNeverReachOutside) {
  std::mt19937 random(1);
  MacAddress mac = M(9);
  std::vector<Bytes> seeds = {k4 + Ipv4(kA, kB, Udp(5, 6), {.options = 20}),
                              k6 + Ipv6(kC, kD, 0, Extension(44) + Fragment6(kUdp, 0, true) + Udp(5, 6)),
                              k6 + Ipv6(kC, kD, kIcmp6, Nd(135, kD, &mac), 255),
                              k4 + Ipv4(kA, kB, Icmp(3, Ipv4(kB, kA, Udp(5, 6))), {.protocol = kIcmp})};
  for (int i = 0; i < 200000; ++i) {
    Bytes frame = seeds[random() % seeds.size()];
    for (unsigned n = random() % 6; n; --n) frame[random() % frame.size()] = static_cast<std::byte>(random());
    frame.resize(random() % 4 ? frame.size() : random() % (frame.size() + 300));
    Packet p;
    if (ParseFrame(frame, p) != Parsed::kOk || p.network == Network::kArp) continue;
    EXPECT_LE(p.end, frame.size());
    EXPECT_LE(p.transport_offset, p.end);
  }
}

}  // namespace
}  // namespace librettos::netserver
