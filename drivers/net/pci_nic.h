// What the drivers of PCI NICs have in common: the frame loops, the link, and interrupts made into
// level-triggered calls.
//
// An interrupt is masked once it came. While there is something to do, the handler is called from every
// Loop::Wait, without further interrupts; only then are interrupts armed again, and after that is looked once
// more. So a burst costs one interrupt, and nothing is missed.
//
// While the link is down, frames to send are refused as if the device were full. A device that was withdrawn
// (reads as all ones), or that broke the rules, is given up: what is sent is counted as tx_errors, and
// nothing is received.
//
// The device is locked for each frame that is received and each batch that is sent, for Send comes from any
// CPU; everything that a subclass implements is called under the lock.
#pragma once

#include "drivers/net/nic_opening.h"
#include "guest/platform/pci.h"
#include "guest/platform/spin_lock.h"

namespace librettos {

class PciNic : public Nic {
 public:
  MacAddress address() const final { return address_; }
  uint32_t mtu() const final { return mtu_; }
  const NicCounters& counters() const final { return counters_; }
  size_t Transmit(std::span<const OutFrame> frames) final;
  size_t Send(std::span<const OutFrame> frames) final;
  size_t Receive(std::span<InFrame> frames) final;
  void SetHandler(Handler* handler) final;

  // The next bit of the opening, see NicOpening::Step. True: it is open. What was done is undone by the
  // destructor, at any point.
  Result<bool> OpenStep();
  bool CloseStep() final;

 protected:
  enum class Sent { kTaken, kRefused, kFull };
  enum class Got { kNothing, kFrame, kBad };
  enum class Link { kUp, kDown, kGone };

  PciNic(PciFunction& function, const Device& device);

  // ---- The device's opening, in this order.
  // A step of what comes before interrupts. True: it was the last.
  virtual Result<bool> PrepareStep() = 0;
  virtual Status AllocateInterrupts() = 0;
  virtual Status Start() = 0;

  // A step of the device's closing, opened or not: no memory is read or written by it any more, and its
  // registers are as a reset leaves them, as far as it answers. True: it was the last.
  virtual bool StopStep() = 0;
  void Close();  // For destructors: all steps that are left.

  // ---- The device's.
  virtual void Reclaim() = 0;  // Takes back the buffers of frames that were sent.
  virtual Sent Put(const OutFrame& frame) = 0;
  virtual void PublishSent() = 0;  // Tells the device of all that was put.
  virtual Got Take(InFrame& frame) = 0;
  virtual void PublishTaken() = 0;  // Gives it the buffers back.
  virtual bool FrameReady() = 0;
  virtual bool RoomReady() = 0;     // After Reclaim: enough that calling for it pays.
  virtual bool Idle() = 0;          // After Reclaim: nothing is left to be sent.
  virtual void Arm(bool room) = 0;  // Enables the interrupt for received frames, and for room.
  virtual void Disarm() = 0;
  virtual Link ReadLink() = 0;
  virtual void OnInterrupt(bool) {}  // First thing; true: it was armed.

  virtual void OnLink() { UpdateLink(); }  // The vector of the link's changes.

  // The most that one Receive takes in, good or bad: the size of the ring.
  virtual uint32_t ReceiveBudget() const = 0;

  Handler* queue_handler() { return &queue_vector_; }
  Handler* link_handler() { return &link_vector_; }
  void SetAddress(const MacAddress& address) { address_ = address; }
  // Looks at the link; calls for room if it came up.
  void UpdateLink();
  void GiveUp(std::string_view reason);
  bool gone() const { return gone_; }

  PciFunction& function_;
  unsigned vectors_ = 0;  // Interrupts that were allocated.

 private:
  static constexpr Nanoseconds kLinkPeriod = 1'000'000;  // Between two looks at a link or device that fails.
  static constexpr Nanoseconds kDrainTime = 10'000'000;  // A full ring at 1 Gb/s.
  static constexpr uint32_t kCloseSteps = 10'000'000;    // Should the clock stand.

  enum class Progress { kPrepare, kInterruptTable, kInterrupts, kStart, kOpen };
  enum class Closing { kNot, kDrain, kDevice, kBusMaster, kInterrupts, kClosed };

  class QueueVector final : public Handler {
   public:
    explicit QueueVector(PciNic& nic) : nic_(nic) {}
    void OnEvent() override { nic_.OnQueueVector(); }

   private:
    PciNic& nic_;
  };
  class LinkVector final : public Handler {
   public:
    explicit LinkVector(PciNic& nic) : nic_(nic) {}
    void OnEvent() override {
      SpinLockHolder holder(nic_.lock_);
      nic_.OnLink();
    }

   private:
    PciNic& nic_;
  };

  void OnQueueVector();
  bool Ready();
  void LookAgain();
  size_t SendLocked(std::span<const OutFrame> frames);

  Progress progress_ = Progress::kPrepare;
  Closing closing_ = Closing::kNot;
  Nanoseconds drain_until_ = 0;
  SpinLock lock_;
  MacAddress address_;
  const uint32_t mtu_;
  NicCounters counters_;
  QueueVector queue_vector_{*this};
  LinkVector link_vector_{*this};
  Handler* handler_ = nullptr;
  bool awaiting_room_ = false;
  bool armed_ = false;
  bool link_up_ = true;  // Until it was looked at.
  bool gone_ = false;
  Nanoseconds looked_at_ = 0;
};

// Its destructor closes what was opened, and waits for it.
class PciOpening final : public NicOpening {
 public:
  explicit PciOpening(PciNic* nic) : nic_(nic) {}  // Takes it over.
  Result<Nic*> Step() override {
    const Result<bool> open = nic_->OpenStep();
    if (!open.ok()) return open.error();
    return static_cast<Nic*>(open.value() ? nic_.release() : nullptr);
  }
  // Takes over `nic`, a new one, or what new (std::nothrow) gave instead.
  static Result<NicOpening*> Begin(PciNic* nic);

 private:
  std::unique_ptr<PciNic> nic_;
};

}  // namespace librettos
