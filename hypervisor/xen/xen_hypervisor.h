// The hypervisor on Xen 4.17: domains are HVM domains built with libxl, the registry is xenstore, a NIC is a
// PCI function (docs/xen.md). Needs to run as root in domain 0, with xenstored and xenconsoled.
//
// Domains and their device models outlive it: the next one finds them by their records in xenstore.
// Everything is on the loop thread but what blocks, which Workers do.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "hypervisor/event_loop.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/xen/device_model_watch.h"
#include "hypervisor/xen/domain_builder.h"
#include "hypervisor/xen/domain_records.h"
#include "hypervisor/xen/domain_watch.h"
#include "hypervisor/xen/held_keys.h"
#include "hypervisor/xen/libxl_context.h"
#include "hypervisor/xen/libxl_pci.h"
#include "hypervisor/xen/pci_devices.h"
#include "hypervisor/xen/statistics.h"
#include "hypervisor/xen/workers.h"
#include "hypervisor/xen/xenstore.h"

namespace librettos::xen {

class XenHypervisor final : public hypervisor::Hypervisor, private PciObserver {
 public:
  struct Options {
    std::string run_directory;  // Made if absent, 0700: archives of domains' files.
    std::string server_image;   // Used when DomainConfig::image is empty.
    std::string guest_image;
    uint32_t memory_mib = 128;  // Used when DomainConfig::memory_mib is 0.
    uint32_t vcpus = 1;         // Used when DomainConfig::vcpus is 0.
  };

  // `loop` outlives the result. Installs a handler of SIGCHLD (libxl's) and of pthread_atfork.
  static absl::StatusOr<std::unique_ptr<hypervisor::Hypervisor>> Create(EventLoop& loop, Options options);
  ~XenHypervisor() override;

  hypervisor::Kind kind() const override { return hypervisor::Kind::kXen; }
  absl::Duration StartDeadline() const override { return absl::Minutes(1); }
  absl::StatusOr<DomainId> Create(const hypervisor::DomainConfig& config) override;
  absl::Status Destroy(DomainId domain) override;
  std::vector<std::pair<DomainId, std::string>> Adopted() const override;
  void SetNextId(DomainId next) override;

  void Write(absl::string_view path, absl::string_view value) override;
  absl::StatusOr<std::string> Read(absl::string_view path) override;
  std::vector<std::string> List(absl::string_view path) override;
  void Remove(absl::string_view path) override;
  void AllowRead(absl::string_view path, DomainId reader) override;
  void Reserve(absl::string_view) override {}  // What is not given away is the daemon's alone to write.
  void Watch(absl::string_view prefix, std::function<void(const std::string& path)> callback) override;

  absl::StatusOr<hypervisor::NicInfo> OpenNic(const std::string& nic,
                                              const hypervisor::NicConfig& config) override;
  absl::Status CloseNic(const std::string& nic) override;
  absl::Status GiveNic(const std::string& nic, DomainId domain, const std::string& address) override;
  void RecallNic(const std::string& nic, DomainId domain) override { pci_->Recall(nic, domain); }

  // All words of the page: its header (64 words), then 64 for each row.
  absl::StatusOr<std::vector<uint64_t>> Statistics(DomainId domain) override;
  absl::StatusOr<uint64_t> Heartbeat(DomainId domain) override;

  void SetObserver(hypervisor::DomainObserver* observer) override { observer_ = observer; }

 private:
  struct Domain {
    DomainRecord record;
    bool adopted = false;
    bool building = false;  // Its keys are held.
    HeldKeys held;
    std::unique_ptr<xen::Statistics> statistics;
  };
  struct TableDeleter {
    void operator()(xengnttab_handle* table) const { xengnttab_close(table); }
  };

  XenHypervisor(EventLoop& loop, Options options) : loop_(loop), options_(std::move(options)) {}
  absl::Status Prepare();
  void Adopt();

  // ---- Domains.
  absl::StatusOr<DomainId> ChooseId();
  void OnBuilt(DomainId id, const absl::Status& status);
  void OnStarted(DomainId id, const absl::Status& status);
  void CheckDomains();
  // `waited`: somebody else was given the time to destroy the domain.
  void OnDeviceModelEnded(DomainId id, bool waited);
  // It runs no more: forgets it, has it destroyed, and tells.
  void End(DomainId id, const hypervisor::DomainExit& exit);
  void DestroyForGood(DomainId id);
  void ForgetIfGone(DomainId id);
  void Forget(DomainId id);  // Nothing is left of it.
  Domain* Find(DomainId id);
  // The domain in whose subtree `path` lies, if it is one of ours.
  Domain* DomainOf(absl::string_view path);
  void WatchKeys(DomainId id);
  void UnwatchKeys(DomainId id);
  std::string DiskOf(DomainId id) const;

  // ---- Registry.
  void OnEvents();
  void CollectKeys(const std::string& path, int depth, std::set<std::string>* keys);
  void OnChanged(const std::string& path);
  absl::StatusOr<xen::Statistics*> StatisticsOf(DomainId id);

  // PciObserver
  void OnGiven(DomainId domain, const std::string& nic, const PciAddress& function,
               const std::string& address, uint32_t mtu) override;
  void OnAttached(DomainId domain, const std::string& nic, int slot, const std::string& address,
                  uint32_t mtu) override;
  void OnDetached(DomainId domain, const std::string& nic) override;
  void OnTrouble(const std::string& nic, const std::string& what) override;

  EventLoop& loop_;
  const Options options_;
  hypervisor::DomainObserver* observer_ = nullptr;
  DomainId next_id_ = 1;
  std::unique_ptr<Xenstore> xenstore_;
  std::unique_ptr<DomainWatch> watch_;
  std::unique_ptr<DeviceModelWatch> device_models_;
  std::unique_ptr<LibxlContext> context_;
  std::unique_ptr<xengnttab_handle, TableDeleter> grant_table_;
  std::unique_ptr<DomainRecords> records_;
  std::map<DomainId, Domain> domains_;
  std::set<DomainId> dying_;  // Being destroyed; nobody outside knows them any more.
  std::vector<std::pair<std::string, std::function<void(const std::string&)>>> watches_;
  // Last, so that they go first: they finish what is asked of them.
  std::unique_ptr<Workers> workers_;
  std::unique_ptr<DomainBuilder> builder_;
  std::unique_ptr<LibxlPci> pci_backend_;
  std::unique_ptr<PciDevices> pci_;
};

// Whether this is Xen's control domain. `root`: "" but in tests.
bool IsControlDomain(const std::string& root);

}  // namespace librettos::xen
