// A Hypervisor without processes: domains are entries that the test lets speak and die. Single-threaded.
//
// It outlives daemons: a test may make a new Controller on the same fake after BeginRestart, as if the daemon
// had died.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "hypervisor/hypervisor.h"

namespace librettos::hypervisor {

class FakeHypervisor : public Hypervisor {
 public:
  struct Domain {
    DomainConfig config;
    bool dying = false;
    uint64_t heartbeat = 1;
    bool beats = true;  // Its heartbeat grows with each look.
    std::vector<uint64_t> page;
    std::map<std::string, std::string> published;  // What it re-declares.
    std::vector<std::string> devices;              // NICs given to it.
  };

  // ---- What the test does. All are delivered at once.
  void Connect(DomainId domain);
  void Publish(DomainId domain, const std::string& key, const std::string& value);
  void Die(DomainId domain, const std::string& how = "killed by signal 9", bool orderly = false);
  void DieAll();  // Those that were destroyed.
  void ReturnDevice(DomainId domain, const std::string& nic);
  // The daemon dies: registry, watches, NICs are gone; domains run on and connect again when the test says
  // so.
  void BeginRestart();
  std::string Key(const std::string& path) const;  // "" if absent.
  bool HasKey(const std::string& path) const { return registry_.contains(path); }
  DomainId Named(const std::string& prefix) const;  // The newest living domain whose name starts so; 0: none.

  std::map<DomainId, Domain> domains;
  std::set<std::string> broken_interfaces;  // OpenNic of them fails.
  std::set<std::string> unavailable_nics;   // OpenNic of them says Unavailable.
  std::set<std::string> open_nics;
  bool fail_create = false;
  Kind kind_of_domains = Kind::kProcess;
  std::map<std::string, uint64_t> census;
  int creations = 0;
  std::vector<std::string>
      journal;  // "give <nic> <domain>", "write <path> <value>", "create <name>", "destroy <id>"

  // ---- Hypervisor
  Kind kind() const override { return kind_of_domains; }
  absl::StatusOr<DomainId> Create(const DomainConfig& config) override;
  absl::Status Destroy(DomainId domain) override;
  std::vector<std::pair<DomainId, std::string>> Adopted() const override;
  void SetNextId(DomainId next) override { next_id_ = next; }
  int32_t Pid(DomainId domain) const override { return static_cast<int32_t>(1000 + domain); }
  void Write(absl::string_view path, absl::string_view value) override;
  absl::StatusOr<std::string> Read(absl::string_view path) override;
  std::vector<std::string> List(absl::string_view path) override;
  void Remove(absl::string_view path) override;
  void AllowRead(absl::string_view path, DomainId reader) override;
  void Reserve(absl::string_view path) override { reserved.insert(std::string(path)); }
  void Watch(absl::string_view prefix, std::function<void(const std::string&)> callback) override;
  absl::StatusOr<NicInfo> OpenNic(const std::string& nic, const NicConfig& config) override;
  absl::Status CloseNic(const std::string& nic) override;
  absl::Status GiveNic(const std::string& nic, DomainId domain, const std::string& address) override;
  void RecallNic(const std::string& nic, DomainId domain) override;
  absl::StatusOr<std::vector<uint64_t>> Statistics(DomainId domain) override;
  absl::StatusOr<uint64_t> Heartbeat(DomainId domain) override;
  std::map<std::string, uint64_t> Census() const override { return census; }
  void SetObserver(DomainObserver* observer) override { observer_ = observer; }

  std::set<std::string> reserved;
  std::set<std::pair<std::string, DomainId>> readers;

 private:
  void Tell(const std::string& path);

  DomainId next_id_ = 1;
  DomainObserver* observer_ = nullptr;
  std::map<std::string, std::string> registry_;
  std::function<void(const std::string&)> watch_;
  std::set<DomainId> adopted_;
};

}  // namespace librettos::hypervisor
