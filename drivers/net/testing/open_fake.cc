// OpenNic for unit tests.
#include <algorithm>
#include <map>

#include "drivers/net/testing/fake_nic.h"

namespace librettos {
namespace fake {
namespace {

std::map<std::string, FakeNic*>& Registered() {
  static auto* nics = new std::map<std::string, FakeNic*>();
  return *nics;
}

int open_nics = 0;
uint64_t opening_steps = 0, closing_steps = 0;

// What the domain deletes; the FakeNic behind it is the test's.
class Access final : public Nic {
 public:
  Access(FakeNic* nic, const Device& device) : nic_(nic), mtu_(device.mtu) {
    std::copy(std::begin(device.address), std::end(device.address), address_.begin());
    ++open_nics;
  }
  ~Access() override {
    nic_->SetHandler(nullptr);
    --open_nics;
  }
  MacAddress address() const override { return address_; }
  uint32_t mtu() const override { return mtu_; }
  NicFeatures features() const override { return nic_->features(); }
  const NicCounters& counters() const override { return nic_->counters(); }
  size_t Transmit(std::span<const OutFrame> frames) override { return nic_->Transmit(frames); }
  size_t Send(std::span<const OutFrame> frames) override { return nic_->Send(frames); }
  size_t Receive(std::span<InFrame> frames) override { return nic_->Receive(frames); }
  void SetHandler(Handler* handler) override { nic_->SetHandler(handler); }
  void SetPromiscuous(bool on) override { nic_->SetPromiscuous(on); }
  void SetGroups(std::span<const MacAddress> groups) override { nic_->SetGroups(groups); }
  bool CloseStep() override { return closing_left_ == 0 || --closing_left_ == 0; }

 private:
  uint64_t closing_left_ = closing_steps;
  FakeNic* nic_;
  MacAddress address_;
  uint32_t mtu_;
};

class Opening final : public NicOpening {
 public:
  explicit Opening(const Device& device) : device_(device), left_(opening_steps) { ++open_nics; }
  ~Opening() override { --open_nics; }
  Result<Nic*> Step() override {
    if (left_ > 0) {
      --left_;
      return static_cast<Nic*>(nullptr);
    }
    FakeNic* nic = Registered()[device_.name];
    if (!nic) return Error::kUnavailable;
    return static_cast<Nic*>(new Access(nic, device_));
  }

 private:
  const Device device_;
  uint64_t left_;
};

}  // namespace

void SetOpeningSteps(uint64_t steps) { opening_steps = steps; }
void SetClosingSteps(uint64_t steps) { closing_steps = steps; }
void RegisterNic(const std::string& name, FakeNic* nic) { Registered()[name] = nic; }
int OpenNics() { return open_nics; }

}  // namespace fake

Result<NicOpening*> OpenNic(Platform&, const Device& device) {
  return static_cast<NicOpening*>(new fake::Opening(device));
}

}  // namespace librettos
