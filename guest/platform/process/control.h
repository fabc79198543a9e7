// The domain's end of its control socket: takes the daemon's connections and moves messages.
//
// One connection counts; a new one replaces it. Sending never blocks: what the daemon does not take waits in
// a queue, and a queue longer than kMaxQueued ends the connection (the state is declared again on the next).
// Without a connection messages are dropped for the same reason. A malformed packet ends the connection it
// came by.
#pragma once

#include <array>
#include <deque>
#include <span>
#include <string_view>
#include <vector>

#include "guest/platform/process/descriptor.h"
#include "guest/platform/process/loop.h"
#include "hypervisor/process/wire.h"

namespace librettos::process {

inline constexpr size_t kMaxDescriptors = 2;

struct OutMessage {
  WireType type;
  uint32_t id = 0;
  uint32_t number = 0;
  uint32_t a = 0;
  uint64_t b = 0;
  std::string_view path = {};
  std::string_view value = {};
  std::array<int, kMaxDescriptors> descriptors = {-1, -1};  // Stay the caller's.
};

struct InMessage {
  WireHeader header;
  std::string_view path;
  std::string_view value;
  std::array<Descriptor, kMaxDescriptors> descriptors;  // The client moves out what it keeps.
  size_t descriptor_count = 0;
};

class ControlClient {
 public:
  // A daemon has said hello; whatever is to be declared again is to be sent now.
  virtual void OnConnected() = 0;
  // False: malformed, the connection ends.
  virtual bool OnMessage(InMessage& message) = 0;

 protected:
  ~ControlClient() = default;
};

class Control final {
 public:
  static constexpr size_t kMaxQueued = 4096;

  // `listening`: a listening SOCK_SEQPACKET socket; non-blocking from now on.
  Control(ProcessLoop& loop, Descriptor listening, ControlClient* client);
  ~Control();
  Control(const Control&) = delete;

  void Send(const OutMessage& message);
  // The daemon that said hello is still there.
  bool connected() const { return greeted_; }
  // 0 until the first hello; the same for ever after.
  DomainId self() const { return self_; }
  uint64_t violations() const { return violations_; }
  // Tries to hand over what is queued until `deadline`.
  void Flush(Nanoseconds deadline);

 private:
  struct Queued {
    std::vector<std::byte> bytes;
    std::array<Descriptor, kMaxDescriptors> descriptors;
  };
  struct Accepting final : Handler {
    void OnEvent() override { control->Accept(); }
    Control* control = nullptr;
  } accepting_;
  struct Connected final : Handler {
    void OnEvent() override { control->Turn(); }
    Control* control = nullptr;
  } turning_;

  enum class Sent { kDone, kFull, kBroken };
  void Accept();
  void Turn();
  bool ReceiveOne();  // False: nothing more, or the connection is gone.
  bool Handle(InMessage& message);
  void SendQueued();
  Sent SendNow(std::span<const std::byte> packet, std::span<const int> descriptors);
  void Disconnect(std::string_view why);
  void WatchConnection();

  ProcessLoop& loop_;
  ControlClient* const client_;
  Descriptor listening_;
  Descriptor connection_;
  bool greeted_ = false;
  bool watching_output_ = false;
  uint64_t connections_ = 0;  // Tells handlers' callers that the connection changed below them.
  uint64_t violations_ = 0;
  DomainId self_ = 0;
  std::deque<Queued> queue_;
};

}  // namespace librettos::process
