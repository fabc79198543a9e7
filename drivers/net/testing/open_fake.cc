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
  size_t Receive(std::span<InFrame> frames) override { return nic_->Receive(frames); }
  void SetHandler(Handler* handler) override { nic_->SetHandler(handler); }
  void SetPromiscuous(bool on) override { nic_->SetPromiscuous(on); }

 private:
  FakeNic* nic_;
  MacAddress address_;
  uint32_t mtu_;
};

}  // namespace

void RegisterNic(const std::string& name, FakeNic* nic) { Registered()[name] = nic; }
int OpenNics() { return open_nics; }

}  // namespace fake

Result<Nic*> OpenNic(Platform&, const Device& device) {
  fake::FakeNic* nic = fake::Registered()[device.name];
  if (!nic) return Error::kUnavailable;
  return static_cast<Nic*>(new fake::Access(nic, device));
}

}  // namespace librettos
