// Frames from the wire and from guests through parser, source check, demultiplexer and responder, with tables
// that the input fills.
//
// Checked beside memory: what a parsed frame claims lies within it; a frame that passes the source check
// carries nobody else's address, MAC or port, and hardware is not led into checked headers; a verdict names
// an active guest; answers are frames that parse, from the server, to who asked.
#include <cstring>
#include <memory>
#include <vector>

#include "bazel/fuzz_input.h"
#include "netserver/demultiplexer.h"
#include "netserver/responder.h"
#include "netserver/source_check.h"

namespace librettos::netserver {
namespace {

using channel::ControlMessage;
using channel::LeaseStatus;
using Local = Verdict::Local;
using Bytes = std::vector<std::byte>;

constexpr int kMaxSteps = 64;
constexpr MacAddress kNic = {2, 0, 0, 0, 0, 0xff}, kPeer = {2, 0, 0, 0, 0, 0xee};
constexpr size_t kAnswerBytes = 86;  // responder.h
constexpr std::string_view kIdentities[] = {"02:00:00:00:00:01 dedicated 10.1.0.1/24 fd00::1/64",
                                            "02:00:00:00:00:02 dedicated 10.1.0.2/24 fd00::2/64",
                                            "02:00:00:00:00:ff shared 10.1.0.100/24 fd00::100/64",
                                            "02:00:00:00:00:ff shared 10.1.0.100/24 fd00::100/64"};
constexpr std::string_view kAddresses[] = {
    "10.1.0.1", "10.1.0.2",  "10.1.0.100", "10.1.0.200", "0.0.0.0", "224.0.0.1",       "fd00::1",
    "fd00::2",  "fd00::100", "fd00::200",  "::",         "ff02::1", "fe80::ff:fe00:1", "fe80::ff:fe00:ff"};

// Built once, as the tables are large; each input leaves them empty behind it.
class Tables {
 public:
  Tables() {
    for (size_t i = 0; i < std::size(kIdentities); ++i) {
      GuestIdentity identity;
      FUZZ_CHECK(GuestIdentity::Parse(kIdentities[i], identity));
      guests[i] = table.Add(static_cast<DomainId>(i + 1), identity).value();
    }
    AddressList shared;
    FUZZ_CHECK(ParseAddressList("10.1.0.100/24 fd00::100/64", shared));
    demultiplexer.SetShared(shared, kNic);
  }

  void Reset() {
    for (Guest* guest : guests) {
      guest->active = true;
      guest->mode = channel::DeclaredMode::kServer;
      guest->asked = {};
      leases.ReleaseAll(*guest);
      if (!fragments) continue;  // The tables are large.
      demultiplexer.Forget(*guest);
      sent.Forget(guest->slot);
    }
    demultiplexer.received().Expire(~Nanoseconds{0});
    fragments = false;
    now = 1;
  }

  GuestTable table;
  LeaseTable leases;
  Demultiplexer demultiplexer{table, leases};
  FragmentTable sent;
  Guest* guests[std::size(kIdentities)];
  bool fragments = false;  // Some were seen.
  Nanoseconds now = 1;
};

void PutAddress(FuzzInput& input, Bytes& frame, size_t at) {
  Address address;
  FUZZ_CHECK(ParseAddress(kAddresses[input.U8() % std::size(kAddresses)], address));
  const size_t size = address.v4() ? 4 : 16;
  if (frame.size() < at + size) return;
  for (size_t i = 0; i < size; ++i) {
    const uint64_t word = size == 4 || i >= 8 ? address.low : address.high;
    frame[at + i] = static_cast<std::byte>(word >> 8 * (size == 4 ? 3 - i : 7 - i % 8));
  }
}

// Bytes as they come, with addresses that somebody has if the input wants it.
Bytes MakeFrame(FuzzInput& input) {
  const uint8_t kind = input.U8();
  const uint16_t padding = kind & 1 ? input.U16() : 0;
  const auto bytes = input.Take(kind & 2 ? input.U16() % 2048 : input.U8());
  Bytes frame(bytes.begin(), bytes.end());
  frame.resize(frame.size() + padding);
  if (frame.size() < kEthernetHeaderBytes) return frame;
  if (kind & 4) {
    const MacAddress macs[] = {
        kNic, kPeer, {255, 255, 255, 255, 255, 255}, {0x33, 0x33, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 1}};
    for (size_t at : {0, 6}) std::memcpy(&frame[at], macs[input.U8() % std::size(macs)].data(), 6);
  }
  if (kind & 8) {
    const bool v6 = frame[12] == std::byte{0x86}, arp = frame[13] == std::byte{6};
    PutAddress(input, frame, v6 ? 22 : arp ? 28 : 26);
    PutAddress(input, frame, v6 ? 38 : arp ? 38 : 30);
  }
  return frame;
}

Parsed ParseChecked(const Bytes& frame, Packet& packet) {
  // Without slack, so that a sanitizer sees any read outside.
  const Bytes header(frame.begin(), frame.begin() + std::min(frame.size(), kPacketHeaderBytes));
  const Parsed parsed = Parse(header, static_cast<uint32_t>(frame.size()), packet);
  if (parsed != Parsed::kOk) return parsed;
  FUZZ_CHECK(!IsMulticast(packet.source_mac) && !packet.source.multicast());
  if (packet.network == Network::kArp) return parsed;
  FUZZ_CHECK(packet.end <= frame.size() && packet.transport_offset <= packet.end);
  FUZZ_CHECK(packet.source.v4() == (packet.network == Network::kIpv4));
  FUZZ_CHECK(packet.destination.v4() == (packet.network == Network::kIpv4));
  if (packet.has_ports || packet.has_icmp) FUZZ_CHECK(packet.transport_offset + 8u <= packet.end);
  if (packet.first_fragment) FUZZ_CHECK(packet.fragment);
  return parsed;
}

void CheckSent(const Tables& tables, const Guest& from, const Packet& packet) {
  const AddressList& shared = tables.demultiplexer.shared();
  FUZZ_CHECK(packet.source_mac == from.identity.mac);
  FUZZ_CHECK(from.Owns(packet.source) || packet.source.unspecified() ||
             (from.shared() && shared.Contains(packet.source)));
  if (packet.network == Network::kArp) FUZZ_CHECK(packet.arp_sender_mac == from.identity.mac);
  if (packet.has_link_address) FUZZ_CHECK(packet.link_address == from.identity.mac);
  if (from.shared() && packet.has_ports) {
    FUZZ_CHECK(tables.leases.Owner(packet.protocol, packet.source_port) == static_cast<int>(from.slot));
  }
}

void CheckOffload(FuzzInput& input, const Packet& packet, const Bytes& frame) {
  const uint8_t kind = input.U8();
  Offload offload;
  offload.needs_checksum = kind & 1;
  offload.segmentation = static_cast<Segmentation>(kind / 2 % 3);
  offload.segment_bytes = kind & 16 ? 1448 : 0;
  offload.checksum_start = kind & 32 ? packet.transport_offset : input.U8();
  const uint16_t offsets[] = {16, 6, 2, input.U16()};
  offload.checksum_offset = offsets[kind >> 6];
  // What the ring lets through (guest/channel/checks.h).
  const size_t end = size_t{offload.checksum_start} + offload.checksum_offset + 2;
  if (offload.needs_checksum && end > frame.size()) return;
  if (!OffloadFits(packet, offload) || !offload.needs_checksum) return;
  FUZZ_CHECK(offload.checksum_start >= packet.transport_offset && !packet.fragment);
  // Not the ports or the type, which were checked.
  FUZZ_CHECK(offload.checksum_start + offload.checksum_offset >=
             packet.transport_offset + (packet.has_ports ? 4 : 2));
}

void CheckAnswer(const Packet& packet, const Bytes& frame) {
  Bytes answer = frame;
  answer.resize(std::max(frame.size(), kAnswerBytes));
  const uint32_t length = Respond(packet, kNic, answer, static_cast<uint32_t>(frame.size()));
  FUZZ_CHECK(length <= answer.size());
  if (length == 0) return;
  answer.resize(length);
  Packet answered;
  FUZZ_CHECK(ParseChecked(answer, answered) == Parsed::kOk);
  FUZZ_CHECK(answered.source_mac == kNic && answered.network == packet.network && !answered.fragment);
  FUZZ_CHECK(answered.destination_mac == packet.source_mac || IsMulticast(answered.destination_mac));
  FUZZ_CHECK(answered.destination == packet.source || packet.source.unspecified());
}

void CheckVerdict(Tables& tables, const Packet& packet, const Bytes& frame, const Verdict& verdict,
                  const Guest* from) {
  FUZZ_CHECK((verdict.wire || verdict.local != Local::kNone) == (verdict.fate == Fate::kForwarded));
  FUZZ_CHECK((verdict.local == Local::kOne) == (verdict.guest != nullptr));
  FUZZ_CHECK(!verdict.new_datagram || (verdict.guest && packet.first_fragment));
  if (verdict.guest) FUZZ_CHECK(verdict.guest->active);
  if (!from) FUZZ_CHECK(!verdict.wire);
  if (from) FUZZ_CHECK(verdict.local != Local::kHold);
  FragmentTable& held = tables.demultiplexer.received();
  const FragmentKey key = FragmentKey::Of(packet);
  if (verdict.local == Local::kHold) (void)held.Hold(key, frame, {}, 0, tables.now);
  if (verdict.local == Local::kRespond) CheckAnswer(packet, frame);
  if (!verdict.new_datagram) return;
  Offload offload;
  uint32_t taken = 0;
  while (!held.Take(key, 0, offload).empty()) FUZZ_CHECK(++taken <= FragmentTable::kHeldPerDatagram);
}

void Lease(Tables& tables, Guest& guest, FuzzInput& input) {
  const uint8_t kind = input.U8();
  const uint8_t protocol = kind & 1 ? kTcp : kUdp;
  const uint16_t port = input.U16();
  const uint32_t before = guest.lease_count;
  if (kind & 2) {
    tables.leases.Release(guest, protocol, port, kind & 4 ? input.U64() : 0);
    FUZZ_CHECK(guest.lease_count == before || guest.lease_count == before - 1);
  } else if (kind & 4) {
    channel::Lease lease = {protocol, port, input.U64(), 0};
    lease.token = kind & 8 ? input.U64() : tables.leases.Token(guest.id, protocol, port, lease.sequence);
    if (tables.leases.Declare(guest, lease, tables.table) != Reclaim::kTaken) return;
    FUZZ_CHECK(guest.shared() && tables.leases.Owner(protocol, port) == static_cast<int>(guest.slot));
  } else {
    ControlMessage request = {}, reply;
    request.id = input.U8();
    request.protocol = protocol;
    request.port = port;
    tables.leases.Request(guest, request, input.U16(), reply);
    if (reply.status != static_cast<uint16_t>(LeaseStatus::kGranted)) return;
    FUZZ_CHECK(guest.shared() && tables.leases.Owner(protocol, reply.port) == static_cast<int>(guest.slot));
    FUZZ_CHECK(reply.token == tables.leases.Token(guest.id, protocol, reply.port, reply.sequence));
  }
  FUZZ_CHECK(guest.lease_count <= channel::kMaxLeases);
}

void Step(Tables& tables, FuzzInput& input) {
  const uint8_t op = input.U8();
  Guest& guest = *tables.guests[op / 8 % std::size(tables.guests)];
  switch (op % 8) {
    case 0:
      guest.active = !guest.active;
      return;
    case 1:
      if (!guest.shared()) guest.mode = static_cast<channel::DeclaredMode>(!guest.direct());
      return;
    case 2:
      return Lease(tables, guest, input);
    case 3:
      tables.now += Nanoseconds{input.U8()} << 28;
      (void)tables.demultiplexer.received().Expire(tables.now);
      return;
    default:
      break;
  }
  Bytes frame = MakeFrame(input);
  const bool from_guest = op & 4 && op % 2;
  if (from_guest && op & 128 && frame.size() >= kEthernetHeaderBytes) {
    std::memcpy(&frame[6], guest.identity.mac.data(), 6);
  }
  Packet packet;
  if (ParseChecked(frame, packet) != Parsed::kOk) return;
  tables.fragments |= packet.fragment;
  if (!from_guest)
    return CheckVerdict(tables, packet, frame, tables.demultiplexer.FromWire(packet, tables.now), nullptr);
  if (!guest.active) return;
  const Fate fate =
      CheckSource(packet, guest, tables.demultiplexer.shared(), tables.leases, tables.sent, tables.now);
  if (fate != Fate::kForwarded) return;
  CheckSent(tables, guest, packet);
  CheckOffload(input, packet, frame);
  CheckVerdict(tables, packet, frame, tables.demultiplexer.FromGuest(packet, guest, tables.now), &guest);
}

}  // namespace
}  // namespace librettos::netserver

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace librettos::netserver;
  static Tables& tables = *new Tables();
  librettos::FuzzInput input(data, size);
  tables.Reset();
  for (int step = 0; step < kMaxSteps && !input.empty(); ++step) Step(tables, input);
  return 0;
}
