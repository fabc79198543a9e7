// A model of the Intel 82574L for unit tests, after its datasheet (82574 GbE Controller Family Datasheet,
// revision 3.4), as far as a driver with one queue pair uses it. What a driver must not do is noted in
// Complaints().
#pragma once

#include <array>
#include <deque>
#include <map>
#include <set>
#include <vector>

#include "drivers/net/testing/fake_pci.h"
#include "drivers/net/testing/nic_bench.h"

namespace librettos::fake {

class E1000eModel final : public NicBench, private PciModel {
 public:
  static constexpr MacAddress kOwnAddress = {0x52, 0x54, 0, 0x12, 0x34, 0x56};  // In its EEPROM.

  E1000eModel(bool msi_x, unsigned vectors);

  FakePci& pci() { return pci_; }
  const Device& device() const { return device_; }
  // ---- Misbehaviour
  void SetLengthError(uint32_t more) { length_error_ = more; }  // Added to lengths written back.
  void SetNeverEnds(bool on) { never_ends_ = on; }              // No descriptor ends a frame.
  void SetFrameError(bool on) { frame_error_ = on; }            // Reports CRC errors.
  void SetResetHangs(bool on) { reset_hangs_ = on; }
  void SetMasterHangs(bool on) { master_hangs_ = on; }
  uint32_t reg(uint32_t offset) const { return registers_[offset / 4]; }
  uint32_t writes(uint32_t offset) { return writes_[offset]; }  // How often it was written.

  // ---- NicBench
  Result<Nic*> Open(const MacAddress& address, uint32_t mtu) override;
  std::vector<Frame> TakeSent() override { return std::exchange(sent_, {}); }
  void Deliver(const Frame& frame) override;
  void SetHold(bool hold) override;
  void SetLink(bool up) override;
  void Withdraw() override { pci_.Withdraw(); }
  bool Wait() override { return pci_.Poll(); }
  uint64_t interrupts() const override { return pci_.fired(); }
  std::string Complaints() const override;
  bool Quiet() const override;
  bool filters() const override { return true; }

 private:
  struct Context {
    uint32_t word[4] = {};
  };

  uint32_t Read(unsigned bar, uint64_t offset, unsigned width) override;
  void Write(unsigned bar, uint64_t offset, unsigned width, uint32_t value) override;
  void Reset();
  void Cause(uint32_t causes);
  void Signal();
  void Send();
  void SendDescriptor(uint64_t at);
  void Emit(const Context& context, Frame frame, uint32_t command, uint32_t options);
  void EmitSegments(const Context& context, const Frame& frame, uint32_t options);
  void ReceiveWaiting();
  bool Passes(const Frame& frame) const;
  bool ReceiveOne(const Frame& frame);
  void Complain(const std::string& what) { complaints_.insert(what); }
  uint32_t& Reg(uint32_t offset) { return registers_[offset / 4]; }

  FakePci pci_;
  Device device_{};
  std::vector<uint32_t> registers_;
  std::map<uint32_t, uint32_t> writes_;
  bool link_up_ = true, hold_ = false;
  uint32_t signalled_ = 0;
  Context context_;
  Frame gathering_;
  uint32_t first_command_ = 0, first_options_ = 0;
  std::vector<Frame> sent_;
  std::deque<Frame> arriving_;
  std::set<std::string> complaints_;
  uint32_t length_error_ = 0;
  bool never_ends_ = false, frame_error_ = false, reset_hangs_ = false, master_hangs_ = false;
};

}  // namespace librettos::fake
