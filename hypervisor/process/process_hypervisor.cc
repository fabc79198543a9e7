#include "hypervisor/process/process_hypervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "hypervisor/process/control_socket.h"
#include "hypervisor/process/path.h"
#include "hypervisor/process/spawner.h"

namespace librettos::process {
namespace {

// For adopted domains to say what they publish, before the others are told without it.
constexpr absl::Duration kMaxWithholding = absl::Seconds(1);

using hypervisor::DomainConfig;
using hypervisor::DomainExit;
using hypervisor::DomainKind;
using hypervisor::Hypervisor;

constexpr DomainId kMaxDomainId = 0x0fffffff;  // uid_base + id stays below 2^31.
constexpr absl::Duration kLogInterval = absl::Seconds(10);

absl::Status MakeDirectory(const std::string& path, mode_t mode) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error || chmod(path.c_str(), mode) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot make directory ", path, ": ", error ? error.message() : strerror(errno)));
  }
  return absl::OkStatus();
}

// A resource name as part of a file or host name.
std::string Flat(absl::string_view name) {
  std::string flat(name.substr(0, 48));
  for (char& c : flat) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '-') c = '-';
  }
  return flat;
}

DomainExit ExitOf(bool exited, int status, bool dumped) {
  if (exited) return {.orderly = status == 0, .description = absl::StrCat("exit status ", status)};
  return {.orderly = false,
          .description = absl::StrCat("killed by signal ", status, dumped ? " (core dumped)" : "")};
}

// How a process that is over ended; pidfds of other daemons' children do not tell.
DomainExit ExitOf(int pidfd) {
  siginfo_t info{};
  if (waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd), &info, WEXITED | WNOHANG) != 0 ||
      info.si_pid == 0) {
    return {.orderly = false, .description = "disappeared"};
  }
  return ExitOf(info.si_code == CLD_EXITED, info.si_status, info.si_code == CLD_DUMPED);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Hypervisor>> ProcessHypervisor::Create(EventLoop& loop, Options options) {
  std::unique_ptr<ProcessHypervisor> made(new ProcessHypervisor(loop, std::move(options)));
  if (absl::Status status = made->Prepare(); !status.ok()) return status;
  made->Adopt();
  return made;
}

ProcessHypervisor::ProcessHypervisor(EventLoop& loop, Options options)
    : loop_(loop),
      options_(std::move(options)),
      domains_path_(absl::StrCat(options_.run_directory, "/domains")),
      registry_([this](const std::string& path) { OnChanged(path); }),
      nics_(absl::StrCat(options_.run_directory, "/nics")),
      death_watch_([this, exists = std::weak_ptr(exists_)](DomainId id, int status) {
        loop_.Post([this, exists, id, status] {
          if (!exists.expired()) OnEnded(id, status);
        });
      }) {}

ProcessHypervisor::~ProcessHypervisor() {
  loop_.Cancel(log_timer_);
  loop_.Cancel(withholding_timer_);
  loop_.Cancel(tell_timer_);
  for (auto& [id, domain] : domains_) {
    loop_.Cancel(domain->reconnect_timer);
    loop_.Unwatch(domain->pidfd.get());
  }
  for (auto& [id, pidfd] : ended_) loop_.Unwatch(pidfd.get());
}

absl::Status ProcessHypervisor::Prepare() {
  rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  for (const std::string& path : {options_.run_directory, domains_path_, options_.run_directory + "/nics"}) {
    if (absl::Status status = MakeDirectory(path, 0700); !status.ok()) return status;
  }
  if (absl::Status status = MakeDirectory(options_.log_directory, 0750); !status.ok()) return status;
  domains_directory_ = Descriptor(open(domains_path_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!domains_directory_.valid()) {
    return absl::FailedPreconditionError(absl::StrCat("cannot open ", domains_path_, ": ", strerror(errno)));
  }
  log_timer_ = loop_.After(kLogInterval, [this] { BoundLogs(); });
  return absl::OkStatus();
}

void ProcessHypervisor::Adopt() {
  for (const DomainId id : ListRecords(domains_path_)) {
    next_id_ = std::max(next_id_, id + 1);
    std::optional<DomainRecord> record = ReadRecord(domains_path_, id);
    if (record.has_value()) {
      Descriptor pidfd(static_cast<int>(syscall(SYS_pidfd_open, record->pid, 0)));
      // The descriptor first: what it stands for cannot change any more when the start time is compared.
      if (pidfd.valid() && StartTime(record->pid) == record->start_time) {
        Add(*std::move(record), std::move(pidfd)).adopted = true;
        ConnectLater(*Find(id));
        continue;
      }
    }
    RemoveFiles(id);
  }
  if (!adopting()) return;
  withholding_keys_ = true;
  // A domain that hangs must not keep the others waiting for ever.
  withholding_timer_ = loop_.After(kMaxWithholding, [this] {
    withholding_timer_ = 0;
    TellOfKeysWhenComplete();
  });
}

void ProcessHypervisor::TellOfKeysWhenComplete() {
  if (!withholding_keys_ || (withholding_timer_ != 0 && adopting())) return;
  withholding_keys_ = false;
  loop_.Cancel(withholding_timer_);
  withholding_timer_ = 0;
  for (auto& [id, domain] : domains_) {
    if (domain->connection != nullptr) domain->connection->Flush();
  }
}

Domain& ProcessHypervisor::Add(DomainRecord record, Descriptor pidfd) {
  const DomainId id = record.id;
  auto& domain = domains_[id];
  domain = std::make_unique<Domain>(registry_, std::move(record), std::move(pidfd));
  loop_.Watch(domain->pidfd.get(), EPOLLIN, [this, id](uint32_t) { OnExit(id); });
  return *domain;
}

Domain* ProcessHypervisor::Find(DomainId id) {
  auto found = domains_.find(id);
  return found == domains_.end() ? nullptr : found->second.get();
}

bool ProcessHypervisor::adopting() const {
  for (const auto& [id, domain] : domains_) {
    if (domain->adopted && !domain->ever_declared) return true;
  }
  return false;
}

absl::StatusOr<DomainId> ProcessHypervisor::Create(const DomainConfig& config) {
  if (next_id_ > kMaxDomainId) return absl::ResourceExhaustedError("all domain ids are used up");
  const DomainId id = next_id_;
  const std::string& standard =
      config.kind == DomainKind::kServer ? options_.server_image : options_.guest_image;
  const std::string flat = Flat(config.name);
  absl::StatusOr<Descriptor> control = ListenAt(domains_directory_.get(), SocketName(id));
  if (!control.ok()) return control.status();
  const SpawnPlan plan{.image = config.image.empty() ? standard : config.image,
                       .arguments = config.arguments,
                       .files = config.files,
                       .hostname = flat.empty() ? absl::StrCat("domain-", id) : flat,
                       .log = absl::StrCat(options_.log_directory, "/", id, "-", flat, ".log"),
                       .uid = options_.uid_base + id,
                       .control = control->get(),
                       .cpus = config.vcpus != 0 ? config.vcpus : options_.cpus};
  DomainRecord record{.id = id, .kind = config.kind, .name = config.name};
  absl::StatusOr<Spawned> spawned = Spawn(plan, [&](pid_t pid) {
    const std::optional<uint64_t> start = StartTime(pid);
    if (!start.has_value()) return absl::UnavailableError("cannot read /proc; is it mounted?");
    record.pid = pid;
    record.start_time = *start;
    return WriteRecord(domains_path_, record);
  });
  if (!spawned.ok()) {
    RemoveFiles(id);
    return spawned.status();
  }
  ++next_id_;
  Add(std::move(record), std::move(spawned->pidfd));
  Connect(id);
  return id;
}

absl::Status ProcessHypervisor::Destroy(DomainId id) {
  Domain* domain = Find(id);
  if (domain == nullptr) return absl::NotFoundError(absl::StrCat("there is no domain ", id));
  if (syscall(SYS_pidfd_send_signal, domain->pidfd.get(), SIGKILL, nullptr, 0) != 0 && errno != ESRCH) {
    return absl::UnavailableError(absl::StrCat("cannot kill domain ", id, ": ", strerror(errno)));
  }
  domain->destroyed = true;
  return absl::OkStatus();
}

void ProcessHypervisor::OnExit(DomainId id) {
  std::unique_ptr<Domain> domain = Take(id);
  const DomainExit exit = ExitOf(domain->pidfd.get());
  Forget(std::move(domain), exit);
}

void ProcessHypervisor::OnEnded(DomainId id, int status) {
  Domain* known = Find(id);
  // Whoever had it destroyed may want what it held, such as a NIC to close: not before it is free.
  if (known == nullptr || known->destroyed) return;
  Descriptor pidfd(fcntl(known->pidfd.get(), F_DUPFD_CLOEXEC, 0));
  if (!pidfd.valid()) return;
  loop_.Watch(pidfd.get(), EPOLLIN, [this, id](uint32_t) {
    auto ended = ended_.find(id);
    (void)ExitOf(ended->second.get());  // Nobody else waits for it.
    loop_.Unwatch(ended->second.get());
    ended_.erase(ended);
  });
  ended_[id] = std::move(pidfd);
  Forget(Take(id), ExitOf(WIFEXITED(status), WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
                          WCOREDUMP(status)));
}

void ProcessHypervisor::WatchLife(const Domain& domain) {
  if (domain.record.kind != DomainKind::kServer) return;  // Nobody waits for others to end.
  uint32_t ref = 0;
  const absl::StatusOr<std::string> text =
      registry_.Read(0, absl::StrCat("/local/domain/", domain.record.id, "/data/life"));
  if (!text.ok() || !absl::SimpleAtoi(*text, &ref)) return;
  const absl::StatusOr<Grants::Memory> memory = grants_.Map(0, domain.record.id, ref, false);
  if (memory.ok()) death_watch_.Add(domain.record.id, domain.record.pid, domain.record.start_time, *memory);
}

std::unique_ptr<Domain> ProcessHypervisor::Take(DomainId id) {
  auto found = domains_.find(id);
  std::unique_ptr<Domain> domain = std::move(found->second);
  domains_.erase(found);
  loop_.Unwatch(domain->pidfd.get());
  loop_.Cancel(domain->reconnect_timer);
  domain->connection.reset();
  return domain;
}

void ProcessHypervisor::Forget(std::unique_ptr<Domain> domain, const DomainExit& exit) {
  const DomainId id = domain->record.id;
  nics_.DropDomain(id);
  // Somebody waits for a successor: what the dead one leaves behind, perhaps hundreds of keys, comes after.
  if (observer_ != nullptr) observer_->OnDomainExit(id, exit);
  death_watch_.Remove(id);
  RemoveFiles(id);
  RemoveOldLogs();
  grants_.DropDomain(id);
  registry_.DropDomain(id);
  AnswerParked(std::move(domain->parked));
  TellOfKeysWhenComplete();
}

void ProcessHypervisor::RemoveFiles(DomainId id) {
  unlinkat(domains_directory_.get(), SocketName(id).c_str(), 0);
  unlink(absl::StrCat(domains_path_, "/", id, ".json").c_str());
}

void ProcessHypervisor::BoundLogs() {
  // A domain appends; so it goes on at the start of the emptied file. While no daemon runs, RLIMIT_FSIZE
  // bounds it.
  for (const auto& [id, domain] : domains_) {
    const std::string path =
        absl::StrCat(options_.log_directory, "/", id, "-", Flat(domain->record.name), ".log");
    struct stat status;
    if (stat(path.c_str(), &status) == 0 && status.st_size > kMaxLogBytes) (void)!truncate(path.c_str(), 0);
  }
  log_timer_ = loop_.After(kLogInterval, [this] { BoundLogs(); });
}

void ProcessHypervisor::RemoveOldLogs() {
  std::map<DomainId, std::filesystem::path> ended;  // In the order of their starts: ids grow.
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(options_.log_directory, error)) {
    const std::string name = entry.path().filename();
    DomainId id;
    if (entry.path().extension() == ".log" && absl::SimpleAtoi(name.substr(0, name.find('-')), &id) &&
        domains_.count(id) == 0) {
      ended[id] = entry.path();
    }
  }
  while (ended.size() > kMaxEndedLogs) {
    std::filesystem::remove(ended.begin()->second, error);
    ended.erase(ended.begin());
  }
}

std::vector<std::pair<DomainId, std::string>> ProcessHypervisor::Adopted() const {
  std::vector<std::pair<DomainId, std::string>> adopted;
  for (const auto& [id, domain] : domains_) {
    if (domain->adopted) adopted.emplace_back(id, domain->record.name);
  }
  return adopted;
}

void ProcessHypervisor::SetNextId(DomainId next) { next_id_ = std::max(next_id_, next); }

int32_t ProcessHypervisor::Pid(DomainId id) const {
  auto found = domains_.find(id);
  return found == domains_.end() ? 0 : found->second->record.pid;
}

void ProcessHypervisor::Write(absl::string_view path, absl::string_view value) {
  absl::Status status = registry_.Write(0, path, value);
  if (!status.ok()) fprintf(stderr, "registry: %s\n", std::string(status.message()).c_str());
}

absl::StatusOr<std::string> ProcessHypervisor::Read(absl::string_view path) {
  return registry_.Read(0, path);
}

std::vector<std::string> ProcessHypervisor::List(absl::string_view path) { return registry_.List(path); }

void ProcessHypervisor::Remove(absl::string_view path) { (void)registry_.Remove(0, path); }

void ProcessHypervisor::AllowRead(absl::string_view path, DomainId reader) {
  registry_.AllowRead(path, reader);
}

void ProcessHypervisor::Reserve(absl::string_view path) { registry_.Reserve(path); }

void ProcessHypervisor::Watch(absl::string_view prefix, std::function<void(const std::string&)> callback) {
  watches_.emplace_back(std::string(prefix), std::move(callback));
}

void ProcessHypervisor::OnChanged(const std::string& path) {
  for (const DomainId watcher : registry_.Watchers(path)) {
    Domain* domain = Find(watcher);
    if (domain == nullptr || domain->connection == nullptr) continue;
    if (domain->feed.Changed(path)) {
      domain->connection->Flush();
    } else {
      domain->connection->Break("does not read: too many changed keys are pending", true);
    }
  }
  if (absl::EndsWith(path, "/data/statistics")) {
    const std::optional<DomainId> owner = OwnerOf(path);
    Domain* domain = owner.has_value() ? Find(*owner) : nullptr;
    if (domain != nullptr) domain->page.reset();
  }
  if (absl::EndsWith(path, "/data/life")) {
    const std::optional<DomainId> owner = OwnerOf(path);
    if (const Domain* domain = owner.has_value() ? Find(*owner) : nullptr) WatchLife(*domain);
  }
  for (const auto& [prefix, callback] : watches_) {
    if (!Covers(prefix, path)) continue;
    if (changed_.empty()) tell_timer_ = loop_.After(absl::ZeroDuration(), [this] { TellWatches(); });
    changed_.insert(path);
    break;
  }
}

void ProcessHypervisor::TellWatches() {
  const std::set<std::string> changed = std::move(changed_);
  changed_.clear();
  // By index: a callback may set another watch.
  for (size_t i = 0; i < watches_.size(); ++i) {
    const auto [prefix, callback] = watches_[i];
    for (const std::string& path : changed) {
      if (Covers(prefix, path)) callback(path);
    }
  }
}

absl::StatusOr<hypervisor::NicInfo> ProcessHypervisor::OpenNic(const std::string& nic,
                                                               const hypervisor::NicConfig& config) {
  return nics_.Open(nic, config, adopting());
}

absl::Status ProcessHypervisor::CloseNic(const std::string& nic) { return nics_.Close(nic); }

absl::Status ProcessHypervisor::GiveNic(const std::string& nic, DomainId id, const std::string& address) {
  Domain* domain = Find(id);
  if (domain == nullptr) return absl::NotFoundError(absl::StrCat("there is no domain ", id));
  absl::StatusOr<bool> tell = nics_.Give(nic, id, domain->record.kind, address, domain->declared);
  if (!tell.ok()) return tell.status();
  if (*tell) domain->connection->Send(nics_.DeviceMessage(nic));
  return absl::OkStatus();
}

std::map<std::string, uint64_t> ProcessHypervisor::Census() const {
  return {{"domains", domains_.size()},
          {"registry_keys", registry_.size()},
          {"registry_watches", registry_.watches()},
          {"registry_rights", registry_.rights()},
          {"grants", grants_.memory_size()},
          {"event_ports", grants_.ports_size()},
          {"open_nics", nics_.size()}};
}

absl::StatusOr<StatisticsPage*> ProcessHypervisor::PageOf(DomainId id) {
  Domain* domain = Find(id);
  if (domain == nullptr) return absl::NotFoundError(absl::StrCat("there is no domain ", id));
  if (domain->page != nullptr) return domain->page.get();
  uint32_t ref = 0;
  const absl::StatusOr<std::string> text =
      registry_.Read(0, absl::StrCat("/local/domain/", id, "/data/statistics"));
  if (!text.ok() || !absl::SimpleAtoi(*text, &ref)) {
    return absl::UnavailableError(absl::StrCat("domain ", id, " has published no statistics yet"));
  }
  absl::StatusOr<Grants::Memory> memory = grants_.Map(0, id, ref, false);
  if (!memory.ok()) return absl::UnavailableError(memory.status().message());
  absl::StatusOr<std::unique_ptr<StatisticsPage>> page = StatisticsPage::Create(*memory);
  if (!page.ok()) return page.status();
  domain->page = *std::move(page);
  domain->page_ref = ref;
  return domain->page.get();
}

absl::StatusOr<std::vector<uint64_t>> ProcessHypervisor::Statistics(DomainId id) {
  absl::StatusOr<StatisticsPage*> page = PageOf(id);
  if (!page.ok()) return page.status();
  return (*page)->Copy();
}

absl::StatusOr<uint64_t> ProcessHypervisor::Heartbeat(DomainId id) {
  absl::StatusOr<StatisticsPage*> page = PageOf(id);
  if (!page.ok()) return page.status();
  return (*page)->Heartbeat();
}

}  // namespace librettos::process
