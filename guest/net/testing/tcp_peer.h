// The other end of one TCP connection of the guest, segment by segment: it keeps the numbers, the test
// decides what is sent. Both IP versions.
#pragma once

#include <string>
#include <vector>

#include "guest/net/testing/test_world.h"

namespace librettos::guest {

class TcpPeer {
 public:
  TcpPeer(TestWorld& world, bool ipv6, uint16_t port = 4000) : world_(world), ipv6_(ipv6), port_(port) {}

  // Sends a segment with the numbers as they stand, and moves them over what it takes.
  void Send(uint8_t flags, const std::string& payload = {});
  // Sends `segment` as it is; ports of 0 are filled in.
  void SendRaw(TcpSegment segment, const Offload& offload = {});
  // What the guest has sent to this peer's port since the last call, its checksums completed and checked.
  std::vector<TcpSegment> Take();
  // The only segment of Take().
  TcpSegment TakeOne();
  // Acknowledges everything seen so far with the next Send.
  void Note(const TcpSegment& segment);

  // Handshakes, up to the established state. The guest listens on `guest_port`, or has just called Connect.
  void ConnectTo(uint16_t guest_port);
  void Accept();

  uint16_t port() const { return port_; }
  uint16_t guest_port = 0;
  uint32_t sequence = 1000;   // Next to send.
  uint32_t acknowledged = 0;  // Next expected of the guest.
  uint16_t window = 0xffff;
  Bytes syn_options;

 private:
  TestWorld& world_;
  const bool ipv6_;
  const uint16_t port_;
};

}  // namespace librettos::guest
