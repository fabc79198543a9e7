// The guest's one network interface: lwIP's netif, whose lower side is the channel to the network server or a
// NIC.
//
// Outward, TCP leaves in large segments with partial checksums, each flow by one queue pair of the channel;
// what the way in use cannot take waits in order in a bounded queue, a line for each pair, but TCP data is
// refused instead (lwIP keeps it anyway) and the observer is told when there is room. Inward, both ways are
// received from; checksums are verified here unless the offload says they are good. Single-threaded. Frames
// from either way are hostile.
#pragma once

#include <cstdint>

#include "drivers/net/nic.h"
#include "guest/channel/guest_end.h"
#include "guest/net/channel_sender.h"
#include "guest/net/counters.h"
#include "guest/net/flow_pair.h"
#include "guest/net/holding_queue.h"
#include "guest/net/icmp_error.h"
#include "guest/net/network_config.h"
#include "guest/net/path_mtu.h"
#include "guest/net/segmentation.h"
#include "guest/net/transmit_frame.h"
#include "lwip/netif.h"

namespace librettos::guest {

class FrameBuffer;

class InterfaceObserver {
 public:
  virtual void OnControl(const channel::ControlMessage& message) = 0;
  virtual void OnRoom() = 0;  // TCP data that was refused can be sent again.
  virtual void OnServerViolation(channel::Violation violation) = 0;  // Counted; the channel is to be renewed.

 protected:
  ~InterfaceObserver() = default;
};

enum class Route : uint8_t { kChannel, kNic, kHold };

class Interface final : private SegmentSink, private Handler {
 public:
  // One at a time (lwIP is one stack). `counters`: row 0 of the statistics page.
  static Interface* Create(const NetworkConfig& config, channel::GuestEnd* end,
                           std::atomic<uint64_t>* counters, InterfaceObserver* observer);
  ~Interface();

  const NetworkConfig& config() const { return config_; }
  netif* lwip() { return &netif_; }
  uint32_t mtu() const { return config_.mtu; }

  // Frames go this way from now on; kHold: nowhere. Group frames are accepted from the last way that was not
  // kHold.
  void SetRoute(Route route);
  Route route() const { return route_; }
  void SetNic(Nic* nic);  // Received from while set. nullptr: none.
  Nic* nic() const { return nic_; }
  // Puts a message about a lease behind the frames from its port that were sent before.
  Status SendLease(const channel::ControlMessage& message);
  // Puts a message on each queue pair, before all frames that are sent from now on.
  Status SendToAll(const channel::ControlMessage& message);
  // Gratuitous ARP and unsolicited neighbour advertisements for all addresses, by `way`, past held frames.
  void Announce(Route way);
  ChannelSender& channel() { return sender_; }
  // While set, Arm asks for an event when the server is done with anything.
  void AwaitDrain(bool await) { await_drain_ = await; }
  size_t held() const { return holding_.frames(); }

  // A server has signalled: the rings are looked at for what it may have done to them.
  void OnChannelEvent() { examine_ = true; }
  // Takes what came in, up to a budget. True if there was anything.
  bool Receive();
  // The last time that the NIC gave a frame.
  Nanoseconds nic_received_at() const { return nic_received_at_; }
  // Sends what was held as far as possible, publishes and signals: once per turn.
  void Flush();
  // Before sleeping: asks to be woken. False: there is something to do.
  bool Arm();
  void Disarm();

  // ---- For the hooks (hooks.cc).
  static Interface* instance();
  void NoteSegment(const void* tcp_header, uint32_t segment_bytes);
  const ip6_addr_t* Gateway6() const;
  uint32_t SegmentLimit(const ip_addr_t& destination) const;  // The MSS towards it.

  void Count(Counter counter, uint64_t by = 1) {
    // Written by this thread only: no read-modify-write needed, and readers want no order.
    auto& cell = counters_[static_cast<size_t>(counter)];
    cell.store(cell.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }
  uint64_t Get(Counter counter) const {
    return counters_[static_cast<size_t>(counter)].load(std::memory_order_relaxed);
  }
  void SetCounter(Counter counter, uint64_t value) {
    counters_[static_cast<size_t>(counter)].store(value, std::memory_order_relaxed);
  }

 private:
  Interface(const NetworkConfig& config, channel::GuestEnd* end, std::atomic<uint64_t>* counters,
            InterfaceObserver* observer)
      : config_(config),
        end_(end),
        counters_(counters),
        observer_(observer),
        sender_(end),
        flow_pair_(end->geometry().queue_pairs, config.shared) {}
  void Configure();
  static err_t Init(netif* self);
  static err_t Output4(netif* self, pbuf* p, const ip4_addr_t* destination);
  static err_t Output6(netif* self, pbuf* p, const ip6_addr_t* destination);
  static err_t LinkOutput(netif* self, pbuf* p);
  err_t Fragment6(pbuf* p, const ip6_addr_t* destination, uint32_t mtu);
  err_t Send(pbuf* p);
  uint32_t PairOf(const pbuf* p);
  bool TrySend(const OutFrame& frame, Route way, uint32_t pair);
  bool TrySendNic(const OutFrame& frame);
  void OnSegment(std::span<const std::byte> frame) override;
  void OnEvent() override {}
  bool ReceiveChannel();
  channel::Violation FindViolation(bool examine);
  void RenewChannel(channel::Violation violation);
  bool ReceiveNic();
  void Input(FrameBuffer* buffer, uint32_t length, const Offload& offload, Route from);
  bool ArmChannel();
  bool TakeIcmpError(const std::byte* frame, uint32_t length);
  void LearnMtu(const IcmpError& error);

  NetworkConfig config_;
  channel::GuestEnd* const end_;
  std::atomic<uint64_t>* const counters_;
  InterfaceObserver* const observer_;
  netif netif_ = {};
  Nic* nic_ = nullptr;
  Route route_ = Route::kChannel;
  Route in_use_ = Route::kChannel;
  ChannelSender sender_;
  FlowPair flow_pair_;
  HoldingQueue holding_;
  HoldingQueue pieces_;  // Rest of a frame segmented in software: goes before everything else.
  TransmitFrame transmit_;
  PathMtu path_mtu_;
  std::array<bool, channel::kMaxQueuePairs> starved_ = {};  // TCP data of the pair was refused.
  bool violated_ = false;  // The server broke the channel's rules, and there is no new one yet.
  bool examine_ = false;
  bool await_drain_ = false;
  const void* noted_header_ = nullptr;
  uint32_t noted_segment_ = 0;
  Route override_route_ = Route::kHold;  // While announcing.
  bool overriding_ = false;
  Nanoseconds nic_received_at_ = 0;
  static constexpr size_t kNicBatch = 16;
  FrameBuffer* nic_buffers_[kNicBatch] = {};
  channel::Received received_;
};

}  // namespace librettos::guest
