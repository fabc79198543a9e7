// What the guest's TCP answers to single segments, as the standards want it: RFC 9293 and, for resets,
// RFC 5961. Raw frames in, frames out; both IP versions.
#include <gtest/gtest.h>

#include "guest/net/headers.h"
#include "guest/net/testing/tcp_peer.h"
#include "guest/sockets/sockets.h"

namespace librettos::guest {
namespace {

using sockets::Family;
constexpr uint16_t kPort = 8080;

class StackTcpTest : public testing::TestWithParam<Family> {
 protected:
  StackTcpTest() : peer_(world_, GetParam() == Family::kIpv6) {
    world_.TeachArp();
    world_.TeachNd();
  }
  ~StackTcpTest() override {
    for (int socket : {client_, server_, listener_}) {
      if (socket >= 0) sockets::Close(socket);
    }
  }
  void Listen(int backlog = 16) {
    listener_ = sockets::Socket(GetParam(), sockets::Type::kStream).value();
    ASSERT_TRUE(sockets::Bind(listener_, sockets::Address::Any(GetParam(), kPort)).ok());
    ASSERT_TRUE(sockets::Listen(listener_, backlog).ok());
  }
  // The peer has connected to the guest.
  void OpenPassive() {
    Listen();
    peer_.ConnectTo(kPort);
    auto server = sockets::Accept(listener_, nullptr);
    ASSERT_TRUE(server.ok());
    server_ = *server;
  }
  void Connect() {
    client_ = sockets::Socket(GetParam(), sockets::Type::kStream).value();
    const char* host = GetParam() == Family::kIpv4 ? "10.1.0.1" : "fd00::1";
    ASSERT_EQ(sockets::Connect(client_, sockets::Address::Parse(host, peer_.port()).value()).error(),
              Error::kAgain);
  }
  void OpenActive() {
    Connect();
    peer_.Accept();
  }
  std::string Receive(int socket) {
    Bytes buffer(4096);
    auto got = sockets::Receive(socket, buffer);
    if (!got.ok()) return std::string("error ") + ToString(got.error());
    return *got ? std::string(reinterpret_cast<char*>(buffer.data()), *got) : "end";
  }
  bool Broken(int socket) {
    sockets::PollItem item{socket, 0, 0};
    sockets::Poll({&item, 1}, 0);
    return item.returned & (sockets::kErr | sockets::kHup);
  }
  uint64_t Get(Counter counter) { return world_.stack().interface().Get(counter); }

  TestWorld world_;
  TcpPeer peer_;
  int listener_ = -1, server_ = -1, client_ = -1;
};

INSTANTIATE_TEST_SUITE_P(Families, StackTcpTest, testing::Values(Family::kIpv4, Family::kIpv6));

// ---- No connection (RFC 9293 section 3.10.7.1)

TEST_P(StackTcpTest, ASynToAClosedPortIsReset) {
  peer_.guest_port = 81;
  peer_.Send(kTcpSyn);
  const TcpSegment answer = peer_.TakeOne();
  EXPECT_EQ(answer.flags, kTcpRst | kTcpAck);
  EXPECT_EQ(answer.sequence, 0u);
  EXPECT_EQ(answer.acknowledged, peer_.sequence);
}

TEST_P(StackTcpTest, AnAckToAClosedPortIsResetWithItsNumber) {
  peer_.guest_port = 81;
  peer_.acknowledged = 77777;
  peer_.Send(kTcpAck, "data");
  const TcpSegment answer = peer_.TakeOne();
  EXPECT_TRUE(answer.flags & kTcpRst);
  EXPECT_EQ(answer.sequence, 77777u);
}

TEST_P(StackTcpTest, AResetToAClosedPortIsNotAnswered) {
  peer_.guest_port = 81;
  peer_.Send(kTcpRst | kTcpAck);
  EXPECT_TRUE(peer_.Take().empty());
}

// ---- Listening

TEST_P(StackTcpTest, AnAckToAListenerIsReset) {
  Listen();
  peer_.guest_port = kPort;
  peer_.acknowledged = 4711;
  peer_.Send(kTcpAck);
  const TcpSegment answer = peer_.TakeOne();
  EXPECT_TRUE(answer.flags & kTcpRst);
  EXPECT_EQ(answer.sequence, 4711u);
}

TEST_P(StackTcpTest, AResetToAListenerIsIgnored) {
  Listen();
  peer_.guest_port = kPort;
  peer_.Send(kTcpRst);
  EXPECT_TRUE(peer_.Take().empty());
  peer_.ConnectTo(kPort);
  EXPECT_TRUE(sockets::Accept(listener_, nullptr).ok());
}

TEST_P(StackTcpTest, ARepeatedSynIsAnsweredAlikeAndMakesOneConnection) {
  Listen();
  peer_.guest_port = kPort;
  peer_.Send(kTcpSyn);
  const TcpSegment first = peer_.TakeOne();
  peer_.sequence--;
  peer_.Send(kTcpSyn);
  auto again = peer_.Take();
  ASSERT_FALSE(again.empty());
  EXPECT_EQ(again.back().sequence, first.sequence);
  EXPECT_EQ(again.back().acknowledged, first.acknowledged);
  peer_.Note(first);
  peer_.Send(kTcpAck);
  EXPECT_TRUE(sockets::Accept(listener_, nullptr).ok());
  EXPECT_EQ(sockets::Accept(listener_, nullptr).error(), Error::kAgain);
}

// lwIP looks for a length behind the last byte of the frame; a sanitizer says whether that is there.
TEST_P(StackTcpTest, AnOptionThatIsCutOffIsIgnored) {
  Listen();
  for (uint8_t kind : {2, 3, 4, 77}) {
    peer_.guest_port = kPort;
    peer_.syn_options = {std::byte{1}, std::byte{1}, std::byte{1}, std::byte{kind}};
    peer_.Send(kTcpSyn);
    EXPECT_EQ(peer_.TakeOne().flags, kTcpSyn | kTcpAck) << int{kind};
    peer_.Send(kTcpRst);
    peer_.Take();
  }
}

TEST_P(StackTcpTest, TheSynAckIsRepeated) {
  Listen();
  peer_.guest_port = kPort;
  peer_.Send(kTcpSyn);
  const TcpSegment first = peer_.TakeOne();
  size_t repeated = 0;
  for (int i = 0; i < 100; i++) {
    world_.Advance(50'000'000);
    for (const TcpSegment& segment : peer_.Take()) {
      EXPECT_EQ(segment.flags, kTcpSyn | kTcpAck);
      EXPECT_EQ(segment.sequence, first.sequence);
      repeated++;
    }
  }
  EXPECT_GE(repeated, 1u);
  EXPECT_LE(repeated, 10u) << "it backs off";
}

TEST_P(StackTcpTest, AFullBacklogMakesNobodyWaitForNothing) {
  Listen(2);
  std::vector<std::unique_ptr<TcpPeer>> peers;
  size_t established = 0;
  for (uint16_t port = 5000; port < 5006; port++) {
    auto& peer = *peers.emplace_back(std::make_unique<TcpPeer>(world_, GetParam() == Family::kIpv6, port));
    peer.guest_port = kPort;
    peer.Send(kTcpSyn);
    auto answer = peer.Take();
    if (answer.empty() || !(answer[0].flags & kTcpSyn)) continue;
    peer.Note(answer[0]);
    peer.Send(kTcpAck);
    if (peer.Take().empty()) established++;
  }
  EXPECT_GE(established, 2u);
  EXPECT_LT(established, 6u);
  size_t accepted = 0;
  while (sockets::Accept(listener_, nullptr).ok()) accepted++;
  EXPECT_EQ(accepted, established);
  peer_.ConnectTo(kPort);  // Room again.
  EXPECT_TRUE(sockets::Accept(listener_, nullptr).ok());
}

// ---- Opening

TEST_P(StackTcpTest, ASynIsRepeatedUntilItIsAnswered) {
  Connect();
  const TcpSegment first = peer_.TakeOne();
  EXPECT_EQ(first.flags, kTcpSyn);
  std::vector<TcpSegment> repeated;
  for (int i = 0; i < 200 && repeated.size() < 3; i++) {
    world_.Advance(50'000'000);
    for (auto& segment : peer_.Take()) repeated.push_back(segment);
  }
  ASSERT_EQ(repeated.size(), 3u);
  for (const TcpSegment& segment : repeated) {
    EXPECT_EQ(segment.flags, kTcpSyn);
    EXPECT_EQ(segment.sequence, first.sequence);
    EXPECT_EQ(segment.source, first.source);
  }
  peer_.guest_port = first.source;
  peer_.Note(first);
  peer_.Send(kTcpSyn | kTcpAck);
  EXPECT_EQ(peer_.TakeOne().flags, kTcpAck);
  EXPECT_FALSE(Broken(client_));
}

TEST_P(StackTcpTest, AnUnansweredSynTimesOut) {
  Connect();
  for (int i = 0; i < 4000 && !Broken(client_); i++) world_.Advance(100'000'000);
  EXPECT_TRUE(Broken(client_));
  EXPECT_NE(sockets::SocketError(client_), Error::kOk);
}

TEST_P(StackTcpTest, AResetRefusesAConnectionOnlyIfItAcknowledgesTheSyn) {
  Connect();
  const TcpSegment syn = peer_.TakeOne();
  peer_.guest_port = syn.source;
  peer_.acknowledged = syn.sequence + 100;
  peer_.Send(kTcpRst | kTcpAck);
  EXPECT_FALSE(Broken(client_));
  peer_.Note(syn);
  peer_.Send(kTcpRst);
  EXPECT_FALSE(Broken(client_)) << "no acknowledgement at all";
  peer_.Send(kTcpRst | kTcpAck);
  EXPECT_TRUE(Broken(client_));
  EXPECT_EQ(sockets::SocketError(client_), Error::kUnavailable);
}

TEST_P(StackTcpTest, AWrongAcknowledgementOfTheSynIsReset) {
  Connect();
  const TcpSegment syn = peer_.TakeOne();
  peer_.guest_port = syn.source;
  peer_.acknowledged = syn.sequence + 100;
  peer_.Send(kTcpSyn | kTcpAck);
  auto answers = peer_.Take();
  ASSERT_FALSE(answers.empty());
  EXPECT_TRUE(answers[0].flags & kTcpRst);
  EXPECT_EQ(answers[0].sequence, syn.sequence + 100);
  EXPECT_FALSE(Broken(client_));
}

TEST_P(StackTcpTest, TheSynOffersWindowScaleMssAndSack) {
  Connect();
  const TcpSegment syn = peer_.TakeOne();
  bool mss = false, scale = false, sack = false;
  for (size_t at = 0; at < syn.options.size();) {
    const uint8_t kind = Load8(&syn.options[at]);
    if (kind == 0) break;
    if (kind == 1) {
      at++;
      continue;
    }
    mss |= kind == 2 && Load16(&syn.options[at + 2]) == (GetParam() == Family::kIpv4 ? 1460 : 1440);
    scale |= kind == 3 && Load8(&syn.options[at + 2]) == 7;
    sack |= kind == 4;
    ASSERT_GE(Load8(&syn.options[at + 1]), 2);
    at += Load8(&syn.options[at + 1]);
  }
  EXPECT_TRUE(mss);
  EXPECT_TRUE(scale);
  EXPECT_TRUE(sack);
}

// ---- Segments of an open connection

TEST_P(StackTcpTest, DataOutsideTheWindowIsAcknowledgedAndNotDelivered) {
  OpenPassive();
  const uint32_t right = peer_.sequence;
  for (uint32_t offset : {uint32_t{1} << 31, 0u - 100u, 8u << 20}) {
    peer_.SendRaw({0, 0, right + offset, peer_.acknowledged, kTcpAck, 0xffff, {}, Text2Bytes("bad")});
    const TcpSegment answer = peer_.TakeOne();
    EXPECT_EQ(answer.flags, kTcpAck);
    EXPECT_EQ(answer.acknowledged, right) << offset;
    EXPECT_EQ(answer.sequence, peer_.acknowledged) << offset;
    EXPECT_EQ(Receive(server_), "error again") << offset;
  }
  peer_.Send(kTcpAck | kTcpPsh, "good");
  EXPECT_EQ(Receive(server_), "good");
}

TEST_P(StackTcpTest, DataOutOfOrderIsPutTogether) {
  OpenPassive();
  const uint32_t base = peer_.sequence;
  auto piece = [&](uint32_t at, const char* text) {
    peer_.SendRaw({0, 0, base + at, peer_.acknowledged, kTcpAck, 0xffff, {}, Text2Bytes(text)});
  };
  piece(3, "def");
  EXPECT_EQ(peer_.Take().back().acknowledged, base) << "a duplicate acknowledgement, at once";
  piece(6, "ghi");
  piece(3, "def");    // Again.
  piece(2, "cdefg");  // Overlaps.
  EXPECT_EQ(Receive(server_), "error again");
  piece(0, "abc");
  EXPECT_EQ(Receive(server_), "abcdefghi");
  EXPECT_EQ(peer_.Take().back().acknowledged, base + 9);
}

TEST_P(StackTcpTest, RepeatedDataIsAcknowledgedAndDeliveredOnce) {
  OpenPassive();
  peer_.Send(kTcpAck | kTcpPsh, "once");
  EXPECT_EQ(Receive(server_), "once");
  world_.Advance(300'000'000);
  peer_.Take();
  peer_.sequence -= 4;
  peer_.Send(kTcpAck | kTcpPsh, "once");
  auto answers = peer_.Take();
  ASSERT_FALSE(answers.empty());
  EXPECT_EQ(answers.back().acknowledged, peer_.sequence);
  EXPECT_EQ(Receive(server_), "error again");
}

TEST_P(StackTcpTest, OnlyAResetInTheWindowCounts) {
  OpenPassive();
  for (uint32_t offset : {uint32_t{1} << 31, 0u - 1u, 8u << 20}) {
    peer_.SendRaw({0, 0, peer_.sequence + offset, 0, kTcpRst, 0, {}, {}});
    EXPECT_FALSE(Broken(server_)) << offset;
  }
  peer_.Take();
  peer_.Send(kTcpRst);
  EXPECT_TRUE(Broken(server_));
  EXPECT_TRUE(peer_.Take().empty()) << "a reset is not answered";
}

TEST_P(StackTcpTest, ASynInAnOpenConnectionBreaksNothing) {
  OpenPassive();
  peer_.SendRaw({0, 0, peer_.sequence, 0, kTcpSyn, 0xffff, {}, {}});
  peer_.SendRaw({0, 0, peer_.sequence + 5000, 0, kTcpSyn, 0xffff, {}, {}});
  for (const TcpSegment& answer : peer_.Take()) {
    EXPECT_EQ(answer.flags, kTcpAck) << "RFC 5961 section 4: a challenge";
    EXPECT_EQ(answer.acknowledged, peer_.sequence);
  }
  EXPECT_FALSE(Broken(server_));
  peer_.Send(kTcpAck | kTcpPsh, "still");
  EXPECT_EQ(Receive(server_), "still");
}

TEST_P(StackTcpTest, ABadChecksumIsDroppedAndCounted) {
  OpenPassive();
  const uint64_t before = Get(Counter::k_rx_checksum_errors);
  TcpSegment segment{peer_.port(), kPort, peer_.sequence,   peer_.acknowledged, kTcpAck,
                     0xffff,       {},    Text2Bytes("bad")};
  Bytes frame = GetParam() == Family::kIpv6 ? MakeTcp6(segment) : MakeTcp(segment);
  frame.back() ^= std::byte{1};
  world_.Deliver(frame, {});
  world_.Turn();
  EXPECT_EQ(Receive(server_), "error again");
  EXPECT_TRUE(peer_.Take().empty());
  EXPECT_EQ(Get(Counter::k_rx_checksum_errors), before + 1);
  peer_.Send(kTcpAck | kTcpPsh, "good");
  EXPECT_EQ(Receive(server_), "good");
}

TEST_P(StackTcpTest, AnAcknowledgementOfWhatWasNotSentIsAnsweredAndIgnored) {
  OpenPassive();
  peer_.SendRaw({0, 0, peer_.sequence, peer_.acknowledged + 1000, kTcpAck, 0xffff, {}, {}});
  for (const TcpSegment& answer : peer_.Take()) EXPECT_EQ(answer.flags, kTcpAck);
  EXPECT_FALSE(Broken(server_));
  ASSERT_TRUE(sockets::Send(server_, Text2Bytes("data")).ok());
  const TcpSegment data = peer_.TakeOne();
  EXPECT_EQ(data.sequence, peer_.acknowledged);
  EXPECT_EQ(data.payload, Text2Bytes("data"));
}

TEST_P(StackTcpTest, TwoSegmentsInOneFrameAreAcknowledgedAtOnce) {
  OpenPassive();
  peer_.Send(kTcpAck | kTcpPsh, std::string(2920, 'x'));
  EXPECT_EQ(peer_.TakeOne().acknowledged, peer_.sequence);
}

TEST_P(StackTcpTest, OneSegmentIsAcknowledgedSoon) {
  OpenPassive();
  peer_.Send(kTcpAck | kTcpPsh, "x");
  world_.Advance(100'000'000);
  EXPECT_EQ(peer_.TakeOne().acknowledged, peer_.sequence);
}

// ---- Windows

TEST_P(StackTcpTest, AClosedWindowIsProbedAndAnOpenOneUsed) {
  peer_.window = 0;
  OpenPassive();
  ASSERT_TRUE(sockets::Send(server_, Text2Bytes("waiting")).ok());
  EXPECT_TRUE(peer_.Take().empty()) << "nothing fits";
  size_t probes = 0;
  for (int i = 0; i < 400 && probes < 2; i++) {
    world_.Advance(50'000'000);
    for (const TcpSegment& probe : peer_.Take()) {
      EXPECT_LE(probe.payload.size(), 1u);
      EXPECT_LE(probe.sequence - peer_.acknowledged + 1, 1u) << "the next byte, or the one before";
      probes++;
      peer_.Send(kTcpAck);  // Still closed.
    }
  }
  EXPECT_EQ(probes, 2u);
  peer_.window = 1000;
  peer_.Send(kTcpAck);
  std::string got;
  for (int i = 0; i < 100 && got.size() < 7; i++) {
    for (const TcpSegment& segment : peer_.Take()) {
      if (segment.payload.empty() || segment.sequence != peer_.acknowledged) continue;
      got.append(reinterpret_cast<const char*>(segment.payload.data()), segment.payload.size());
      peer_.Note(segment);
      peer_.Send(kTcpAck);
    }
    world_.Advance(50'000'000);
  }
  EXPECT_EQ(got, "waiting");
}

TEST_P(StackTcpTest, AProbeOfOurClosedWindowIsAnswered) {
  OpenPassive();
  // Without window scale the offered window is 64 KiB. Fill it; the program does not read.
  uint32_t sent = 0;
  uint16_t window = 0xffff;
  for (int i = 0; i < 200 && window != 0; i++) {
    peer_.Send(kTcpAck, std::string(std::min<uint32_t>(1400, window), 'x'));
    sent += std::min<uint32_t>(1400, window);
    world_.Advance(300'000'000);
    auto answers = peer_.Take();
    ASSERT_FALSE(answers.empty()) << sent;
    EXPECT_EQ(answers.back().acknowledged, peer_.sequence);
    window = answers.back().window;
  }
  ASSERT_EQ(window, 0) << "after " << sent << " bytes";
  peer_.SendRaw({0, 0, peer_.sequence, peer_.acknowledged, kTcpAck, 0xffff, {}, Text2Bytes("p")});
  const TcpSegment answer = peer_.TakeOne();
  EXPECT_EQ(answer.acknowledged, peer_.sequence);
  EXPECT_EQ(answer.window, 0);
}

// ---- Closing

TEST_P(StackTcpTest, ThePeerClosesFirst) {
  OpenPassive();
  peer_.Send(kTcpAck | kTcpFin, "last");
  EXPECT_EQ(Receive(server_), "last");
  EXPECT_EQ(Receive(server_), "end");
  EXPECT_EQ(peer_.Take().back().acknowledged, peer_.sequence);
  ASSERT_TRUE(sockets::Send(server_, Text2Bytes("answer")).ok()) << "half closed";
  const TcpSegment data = peer_.TakeOne();
  EXPECT_EQ(data.payload, Text2Bytes("answer"));
  peer_.Note(data);
  peer_.Send(kTcpAck);
  sockets::Close(std::exchange(server_, -1));
  const TcpSegment fin = peer_.TakeOne();
  EXPECT_TRUE(fin.flags & kTcpFin);
  peer_.Note(fin);
  peer_.Send(kTcpAck);
  EXPECT_TRUE(peer_.Take().empty());
  peer_.Send(kTcpAck, "x");
  EXPECT_TRUE(peer_.TakeOne().flags & kTcpRst) << "the connection is gone";
}

TEST_P(StackTcpTest, TheGuestClosesFirst) {
  OpenActive();
  ASSERT_TRUE(sockets::ShutdownWrite(client_).ok());
  const TcpSegment fin = peer_.TakeOne();
  EXPECT_TRUE(fin.flags & kTcpFin);
  peer_.Note(fin);
  peer_.Send(kTcpAck);
  peer_.Send(kTcpAck | kTcpPsh, "more");
  EXPECT_EQ(Receive(client_), "more") << "half closed";
  peer_.Take();
  peer_.Send(kTcpAck | kTcpFin);
  EXPECT_EQ(peer_.TakeOne().acknowledged, peer_.sequence);
  EXPECT_EQ(Receive(client_), "end");
  // TIME_WAIT: a repeated FIN is acknowledged again.
  peer_.sequence--;
  peer_.Send(kTcpAck | kTcpFin);
  EXPECT_EQ(peer_.TakeOne().acknowledged, peer_.sequence);
}

TEST_P(StackTcpTest, BothCloseAtOnce) {
  OpenActive();
  ASSERT_TRUE(sockets::ShutdownWrite(client_).ok());
  const TcpSegment fin = peer_.TakeOne();
  ASSERT_TRUE(fin.flags & kTcpFin);
  peer_.Send(kTcpAck | kTcpFin);  // Does not acknowledge the guest's.
  EXPECT_EQ(peer_.TakeOne().acknowledged, peer_.sequence);
  peer_.Note(fin);
  peer_.Send(kTcpAck);
  EXPECT_TRUE(peer_.Take().empty());
  EXPECT_EQ(Receive(client_), "end");
}

TEST_P(StackTcpTest, TheFinIsRepeated) {
  OpenActive();
  ASSERT_TRUE(sockets::ShutdownWrite(client_).ok());
  const TcpSegment fin = peer_.TakeOne();
  std::vector<TcpSegment> repeated;
  for (int i = 0; i < 100 && repeated.empty(); i++) {
    world_.Advance(50'000'000);
    repeated = peer_.Take();
  }
  ASSERT_FALSE(repeated.empty());
  EXPECT_TRUE(repeated[0].flags & kTcpFin);
  EXPECT_EQ(repeated[0].sequence, fin.sequence);
}

TEST_P(StackTcpTest, ClosingWithUnreadDataResets) {
  OpenPassive();
  peer_.Send(kTcpAck | kTcpPsh, "unread");
  peer_.Take();
  sockets::Close(std::exchange(server_, -1));
  auto answers = peer_.Take();
  ASSERT_FALSE(answers.empty());
  EXPECT_TRUE(answers.back().flags & kTcpRst) << "RFC 2525 section 2.17";
}

}  // namespace
}  // namespace librettos::guest
