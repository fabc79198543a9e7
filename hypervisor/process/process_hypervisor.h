// The embedded mode's hypervisor: domains are confined Linux processes, the registry lives in the daemon, a
// NIC is a TAP. Needs root (or CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_SETUID, CAP_SETGID and CAP_KILL on the
// host).
//
// Domains outlive it: destroying the object kills nothing, and the next one in the same run directory adopts
// what still runs. Everything is on the loop thread.
#pragma once

#include <sys/types.h>

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
#include "hypervisor/process/death_watch.h"
#include "hypervisor/process/descriptor.h"
#include "hypervisor/process/domain.h"
#include "hypervisor/process/grants.h"
#include "hypervisor/process/nics.h"
#include "hypervisor/process/registry.h"

namespace librettos::process {

class ProcessHypervisor final : public hypervisor::Hypervisor {
 public:
  struct Options {
    std::string run_directory;  // Made if absent, 0700: sockets and records of the domains that run.
    // Made if absent: <id>-<name>.log. At most kMaxLogBytes each, and of ended domains the newest
    // kMaxEndedLogs.
    std::string log_directory;
    std::string server_image;  // Used when DomainConfig::image is empty.
    std::string guest_image;
    // Domain n's root is host user and group uid_base + n. Above the ranges that systemd and subuid(5) hand
    // out.
    uid_t uid_base = 0x70000000;
    uint32_t cpus = 1;  // Used when DomainConfig::vcpus is 0.
  };
  static constexpr off_t kMaxLogBytes = 16 << 20;
  static constexpr size_t kMaxEndedLogs = 100;

  // Raises the process's soft limit of open files to the hard one: each domain needs a few. `loop` outlives
  // the result.
  static absl::StatusOr<std::unique_ptr<hypervisor::Hypervisor>> Create(EventLoop& loop, Options options);
  ~ProcessHypervisor() override;

  absl::StatusOr<DomainId> Create(const hypervisor::DomainConfig& config) override;
  absl::Status Destroy(DomainId domain) override;
  std::vector<std::pair<DomainId, std::string>> Adopted() const override;
  void SetNextId(DomainId next) override;
  int32_t Pid(DomainId domain) const override;

  void Write(absl::string_view path, absl::string_view value) override;
  absl::StatusOr<std::string> Read(absl::string_view path) override;
  std::vector<std::string> List(absl::string_view path) override;
  void Remove(absl::string_view path) override;
  void AllowRead(absl::string_view path, DomainId reader) override;
  void Reserve(absl::string_view path) override;
  void Watch(absl::string_view prefix, std::function<void(const std::string& path)> callback) override;

  absl::StatusOr<hypervisor::NicInfo> OpenNic(const std::string& nic,
                                              const hypervisor::NicConfig& config) override;
  absl::Status CloseNic(const std::string& nic) override;
  absl::Status GiveNic(const std::string& nic, DomainId domain, const std::string& address) override;

  // All words of the page: its header (64 words), then 64 for each row.
  absl::StatusOr<std::vector<uint64_t>> Statistics(DomainId domain) override;
  absl::StatusOr<uint64_t> Heartbeat(DomainId domain) override;

  std::map<std::string, uint64_t> Census() const override;

  void SetObserver(hypervisor::DomainObserver* observer) override { observer_ = observer; }

 private:
  ProcessHypervisor(EventLoop& loop, Options options);

  // ---- Domains (process_hypervisor.cc).
  absl::Status Prepare();
  void Adopt();
  Domain& Add(DomainRecord record, Descriptor pidfd);
  void OnExit(DomainId id);
  // It executes nothing any more, but is still being taken down.
  void OnEnded(DomainId id, int status);
  void WatchLife(const Domain& domain);
  // What there is of it is forgotten; its process is not this function's business.
  void Forget(std::unique_ptr<Domain> domain, const hypervisor::DomainExit& exit);
  std::unique_ptr<Domain> Take(DomainId id);
  void RemoveFiles(DomainId id);
  void BoundLogs();
  void RemoveOldLogs();
  Domain* Find(DomainId id);
  bool adopting() const;  // Some adopted domain has not yet declared what it holds.
  // Until then the registry is incomplete, and a domain told of it would take its peers' keys for gone.
  void TellOfKeysWhenComplete();

  // ---- Registry.
  void OnChanged(const std::string& path);
  void TellWatches();
  absl::StatusOr<StatisticsPage*> PageOf(DomainId id);

  // ---- Connections (domain_messages.cc).
  void Connect(DomainId id);
  void ConnectLater(Domain& domain);
  void OnClosed(DomainId id, const std::string& reason, bool violation);
  void OnMessage(Domain& domain, Message message);
  void OnDeclared(Domain& domain);
  void OnWatch(Domain& domain, const std::string& path);
  // Looks again and again, with growing patience, while the domain has or could have the NIC open.
  void OnReturned(Domain& domain, const std::string& nic, uint32_t giving, absl::Duration patience);
  void OnRequest(Domain& requester, Message request);
  void AnswerParked(std::vector<Domain::Parked> parked);
  Message Answer(const Domain& requester, const Message& request) const;
  // Counts and reports a refusal; fine statuses pass.
  void Judge(Domain& domain, const absl::Status& status);

  EventLoop& loop_;
  const Options options_;
  const std::string domains_path_;
  Descriptor domains_directory_;
  hypervisor::DomainObserver* observer_ = nullptr;
  DomainId next_id_ = 1;
  EventLoop::TimerId log_timer_ = 0;
  bool withholding_keys_ = false;  // See TellOfKeysWhenComplete.
  EventLoop::TimerId withholding_timer_ = 0;

  std::map<DomainId, std::unique_ptr<Domain>> domains_;
  std::map<DomainId, Descriptor> ended_;  // Domains that are forgotten, and whose processes are not over.
  Registry registry_;
  Grants grants_;
  Nics nics_;

  std::vector<std::pair<std::string, std::function<void(const std::string&)>>> watches_;
  std::set<std::string> changed_;  // To be told to watches_.
  EventLoop::TimerId tell_timer_ = 0;
  const std::shared_ptr<bool> exists_ = std::make_shared<bool>(true);  // For what is posted.
  DeathWatch death_watch_;
};

}  // namespace librettos::process
