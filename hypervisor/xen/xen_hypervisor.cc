#include "hypervisor/xen/xen_hypervisor.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "hypervisor/xen/device_model.h"
#include "hypervisor/xen/domain_exit.h"
#include "hypervisor/xen/image.h"

namespace librettos::xen {
namespace {

using hypervisor::DomainConfig;
using hypervisor::DomainExit;
using hypervisor::DomainKind;
using hypervisor::Hypervisor;

constexpr int kThreads = 8;
constexpr DomainId kLastDomain = 0x7ff0 - 1;  // xen/include/public/xen.h: below DOMID_FIRST_RESERVED.
constexpr size_t kMaxKeyBytes = 2048;         // xenstored's quota for the value of a key.
constexpr absl::Duration kDestroyRetry = absl::Seconds(5);
// Above libxl's own ten for a device that does not go.
constexpr absl::Duration kDestroyTime = absl::Seconds(20);
constexpr absl::Duration kDestroyedByOthers = absl::Seconds(10);
constexpr int kEventsPerTurn = 256;  // So that a domain that writes without end does not hold the loop.
constexpr int kMaxDepth = 8;         // Of the keys of a domain, and how many of them are told at adoption.
constexpr size_t kMaxKeys = 4096;

std::string BaseOf(DomainId id) { return absl::StrCat("/local/domain/", id); }

void Complain(const absl::Status& status) {
  if (!status.ok()) fprintf(stderr, "%s\n", std::string(status.message()).c_str());
}

// What libxl starts is not the daemon's: a device model lives on when the terminal goes, and can be ended.
void BeSomebodyElse() {
  setsid();
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, nullptr);
}

// Domains name what is to be mapped: what cannot be is no news for the daemon's log.
xentoollog_logger* NoLog() {
  static xentoollog_logger logger = {
      .vmessage = [](xentoollog_logger*, xentoollog_level, int, const char*, const char*, va_list) {},
      .progress = [](xentoollog_logger*, const char*, const char*, int, unsigned long, unsigned long) {},
      .destroy = [](xentoollog_logger*) {},
  };
  return &logger;
}

std::string Contents(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace

bool IsControlDomain(const std::string& root) {
  // xenfs says it; without it mounted, sysfs does: domain 0's UUID is nil.
  if (absl::StrContains(Contents(root + "/proc/xen/capabilities"), "control_d")) return true;
  return absl::StartsWith(Contents(root + "/sys/hypervisor/type"), "xen") &&
         absl::StartsWith(Contents(root + "/sys/hypervisor/uuid"), "00000000-0000-0000-0000-000000000000");
}

absl::StatusOr<std::unique_ptr<Hypervisor>> XenHypervisor::Create(EventLoop& loop, Options options) {
  std::unique_ptr<XenHypervisor> made(new XenHypervisor(loop, std::move(options)));
  if (absl::Status status = made->Prepare(); !status.ok()) return status;
  made->Adopt();
  return made;
}

absl::Status XenHypervisor::Prepare() {
  std::error_code error;
  std::filesystem::create_directories(options_.run_directory, error);
  if (error || chmod(options_.run_directory.c_str(), 0700) != 0) {
    return absl::FailedPreconditionError(absl::StrCat("cannot make directory ", options_.run_directory));
  }
  auto xenstore = Xenstore::Create();
  if (!xenstore.ok()) return xenstore.status();
  auto watch = DomainWatch::Create();
  if (!watch.ok()) return watch.status();
  auto context = LibxlContext::Create();
  if (!context.ok()) return context.status();
  grant_table_.reset(xengnttab_open(NoLog(), 0));
  if (grant_table_ == nullptr) {
    return absl::UnavailableError(absl::StrCat("cannot open /dev/xen/gntdev: ", strerror(errno)));
  }
  xenstore_ = *std::move(xenstore);
  watch_ = *std::move(watch);
  context_ = *std::move(context);
  device_models_ = std::make_unique<DeviceModelWatch>(
      loop_, [this](DomainId id) { OnDeviceModelEnded(id, /*waited=*/false); });
  records_ = std::make_unique<DomainRecords>(*xenstore_);
  if (absl::Status status = records_->Prepare(); !status.ok()) return status;
  if (absl::Status status = xenstore_->Watch(kReleaseDomain); !status.ok()) return status;
  pthread_atfork(nullptr, nullptr, BeSomebodyElse);
  workers_ = std::make_unique<Workers>(kThreads, LibxlContext::Create);
  builder_ = std::make_unique<DomainBuilder>(loop_, *workers_);
  pci_backend_ = std::make_unique<LibxlPci>(loop_, *context_, *workers_);
  PciObserver& self = *this;  // A private base: make_unique may not convert.
  pci_ = std::make_unique<PciDevices>(*pci_backend_, self);
  loop_.Watch(xenstore_->descriptor(), EPOLLIN, [this](uint32_t) { OnEvents(); });
  return absl::OkStatus();
}

XenHypervisor::~XenHypervisor() {
  if (workers_ == nullptr) return;
  loop_.Unwatch(xenstore_->descriptor());
  workers_.reset();
}

// ---- Domains ----

void XenHypervisor::Adopt() {
  for (DomainRecord& record : records_->All()) {
    const DomainId id = record.id;
    const std::optional<DomainState> state = watch_->StateOf(id);
    if (!state.has_value() || state->uuid != record.uuid) {  // Gone, and maybe somebody else's now.
      unlink(DiskOf(id).c_str());
      records_->Remove(id);
    } else if (!record.complete || state->ended) {
      for (const NicRecord& nic : records_->Nics(id)) {
        pci_->Adopt(nic.nic, id, nic.function, nic.address, nic.mtu, /*told=*/true);
      }
      pci_->DomainDied(id);  // What it has is free once it is gone.
      DestroyForGood(id);
    } else {
      Domain& domain = domains_[id];
      domain.record = std::move(record);
      domain.adopted = true;
      WatchKeys(id);
      device_models_->Add(id, DeviceModelPid(id));
      loop_.After(absl::ZeroDuration(), [this, id] {
        if (observer_ != nullptr && Find(id) != nullptr) observer_->OnDomainConnected(id);
      });
    }
  }
  for (const bool told : {true, false}) {
    for (const auto& [id, domain] : domains_) {
      for (const NicRecord& nic : records_->Nics(id)) {
        if (Read(absl::StrCat(BaseOf(id), "/device/nic/", nic.nic)).ok() != told) continue;
        pci_->Adopt(nic.nic, id, nic.function, nic.address, nic.mtu, told);
      }
    }
  }
}

std::vector<std::pair<DomainId, std::string>> XenHypervisor::Adopted() const {
  std::vector<std::pair<DomainId, std::string>> adopted;
  for (const auto& [id, domain] : domains_) {
    if (domain.adopted) adopted.emplace_back(id, domain.record.name);
  }
  return adopted;
}

// Xen has only 15 bits of ids: they are used again after a round, when nobody remembers their former owners.
void XenHypervisor::SetNextId(DomainId next) { next_id_ = next == 0 ? 1 : (next - 1) % kLastDomain + 1; }

absl::StatusOr<DomainId> XenHypervisor::ChooseId() {
  for (DomainId tried = 0; tried < kLastDomain; ++tried) {
    const DomainId id = next_id_;
    SetNextId(id + 1);
    // Ids of ours that are not built yet are unknown to Xen; other domains of the host are unknown to us.
    if (!domains_.contains(id) && !dying_.contains(id) && !watch_->StateOf(id).has_value()) return id;
  }
  return absl::ResourceExhaustedError("all domain ids are in use");
}

std::string XenHypervisor::DiskOf(DomainId id) const {
  return absl::StrCat(options_.run_directory, "/", id, ".tar");
}

XenHypervisor::Domain* XenHypervisor::Find(DomainId id) {
  auto found = domains_.find(id);
  return found == domains_.end() ? nullptr : &found->second;
}

absl::StatusOr<DomainId> XenHypervisor::Create(const DomainConfig& config) {
  const std::string& standard =
      config.kind == DomainKind::kServer ? options_.server_image : options_.guest_image;
  DomainPlan plan;
  plan.image = config.image.empty() ? standard : config.image;
  if (absl::Status status = CheckImage(plan.image); !status.ok()) return status;
  for (const std::string& argument : config.arguments) {
    if (argument.size() > kMaxKeyBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("an argument is longer than ", kMaxKeyBytes, " bytes; put it into a file"));
    }
  }
  const absl::StatusOr<DomainId> id = ChooseId();
  if (!id.ok()) return id.status();
  plan.id = *id;
  plan.name = HostName(config.name, *id);
  plan.memory_mib = config.memory_mib != 0 ? config.memory_mib : options_.memory_mib;
  plan.vcpus = config.vcpus != 0 ? config.vcpus : options_.vcpus;
  if (!config.files.empty()) plan.disk = DiskOf(*id);

  DomainRecord record{.id = *id, .name = config.name, .kind = config.kind};
  libxl_uuid_generate(&plan.uuid);
  static_assert(sizeof(plan.uuid) == sizeof(record.uuid));
  memcpy(record.uuid.data(), &plan.uuid, record.uuid.size());
  if (absl::Status status = records_->Write(record); !status.ok()) return status;
  Domain& domain = domains_[*id];
  domain.record = std::move(record);
  domain.building = true;
  for (size_t i = 0; i < config.arguments.size(); ++i) {
    domain.held.Write(absl::StrCat(BaseOf(*id), "/control/arguments/", i), config.arguments[i]);
  }
  builder_->Build(plan, config.files, [this, id = *id](absl::Status status) { OnBuilt(id, status); });
  return *id;
}

void XenHypervisor::OnBuilt(DomainId id, const absl::Status& status) {
  Domain* domain = Find(id);
  if (domain == nullptr) return;  // Destroyed meanwhile.
  if (!status.ok()) return End(id, {.orderly = false, .description = std::string(status.message())});
  domain->building = false;
  Complain(domain->held.Apply(*xenstore_));
  WatchKeys(id);
  builder_->Start(id, [this, id](absl::Status started) { OnStarted(id, started); });
}

void XenHypervisor::OnStarted(DomainId id, const absl::Status& status) {
  Domain* domain = Find(id);
  if (domain == nullptr) return;
  if (!status.ok()) return End(id, {.orderly = false, .description = std::string(status.message())});
  domain->record.complete = true;
  Complain(records_->Write(domain->record));
  device_models_->Add(id, DeviceModelPid(id));
  if (observer_ != nullptr) observer_->OnDomainConnected(id);
  CheckDomains();  // It may have ended already.
}

absl::Status XenHypervisor::Destroy(DomainId id) {
  Domain* domain = Find(id);
  if (domain == nullptr) {
    if (dying_.contains(id)) return absl::OkStatus();
    return absl::NotFoundError(absl::StrCat("there is no domain ", id));
  }
  // Pauses add up: one that is just being started stays paused. What is not built yet will not be started.
  if (absl::Status status = watch_->Pause(id);
      !status.ok() && !domain->building && watch_->StateOf(id).has_value()) {
    return status;
  }
  loop_.After(absl::ZeroDuration(), [this, id] {
    if (Find(id) != nullptr) End(id, {.orderly = false, .description = "killed"});
  });
  return absl::OkStatus();
}

void XenHypervisor::CheckDomains() {
  std::vector<DomainId> started;
  for (const auto& [id, domain] : domains_) {
    if (domain.record.complete) started.push_back(id);
  }
  for (const DomainId id : started) {
    const std::optional<DomainState> state = watch_->StateOf(id);
    if (state.has_value() && !state->ended && state->uuid == domains_.at(id).record.uuid) continue;
    if (!state.has_value() || !state->shut_down) {
      End(id, {.orderly = false, .description = "disappeared"});
      continue;
    }
    const std::string data = BaseOf(id) + "/data/";
    const std::string exit = xenstore_->Read(data + "exit").value_or("");
    const std::string panic = xenstore_->Read(data + "panic").value_or("");
    const std::string registers = exit.empty() && panic.empty() ? watch_->LastRegisters(id) : "";
    End(id, ExitOf(state->reason, exit, panic, registers));
  }
}

void XenHypervisor::OnDeviceModelEnded(DomainId id, bool waited) {
  if (Find(id) == nullptr) return;
  CheckDomains();
  if (Find(id) == nullptr) return;  // It had ended itself.
  const std::optional<DomainState> state = watch_->StateOf(id);
  // Whoever destroys a domain pauses it, and ends its device model first: then its release tells of it.
  if (state.has_value() && state->paused && !waited) {
    loop_.After(kDestroyedByOthers, [this, id, uuid = state->uuid] {
      if (Domain* domain = Find(id); domain != nullptr && domain->record.uuid == uuid) {
        OnDeviceModelEnded(id, /*waited=*/true);
      }
    });
    return;
  }
  Complain(watch_->Pause(id));
  End(id, {.orderly = false, .description = "its device model ended"});
}

void XenHypervisor::End(DomainId id, const DomainExit& exit) {
  UnwatchKeys(id);
  device_models_->Remove(id);
  domains_.erase(id);
  pci_->DomainDied(id);
  // The successor first: destruction takes its time.
  if (observer_ != nullptr) observer_->OnDomainExit(id, exit);
  DestroyForGood(id);
}

void XenHypervisor::DestroyForGood(DomainId id) {
  // Not once more for each attempt.
  if (dying_.insert(id).second) loop_.After(kDestroyTime, [this, id] { ForgetIfGone(id); });
  builder_->Destroy(id, DiskOf(id), [this, id](absl::Status status) {
    if (!dying_.contains(id)) return;  // See ForgetIfGone.
    if (!status.ok()) {
      Complain(status);
      loop_.After(kDestroyRetry, [this, id] {
        if (dying_.contains(id)) DestroyForGood(id);
      });
      return;
    }
    Forget(id);
  });
}

// libxl was seen not to come back from the destruction of a domain that was gone: what counts is Xen's word,
// or the domain's NIC would be nobody's until the daemon starts again.
void XenHypervisor::ForgetIfGone(DomainId id) {
  if (!dying_.contains(id)) return;
  if (watch_->StateOf(id).has_value()) {
    loop_.After(kDestroyTime, [this, id] { ForgetIfGone(id); });
    return;
  }
  Complain(absl::InternalError(absl::StrCat("domain ", id, " is gone, but libxl does not say so")));
  Forget(id);
}

void XenHypervisor::Forget(DomainId id) {
  dying_.erase(id);
  records_->Remove(id);
  pci_->DomainGone(id);
}

// ---- Registry ----

XenHypervisor::Domain* XenHypervisor::DomainOf(absl::string_view path) {
  const std::optional<DomainId> id = OwnerOf(path);
  return id.has_value() ? Find(*id) : nullptr;
}

void XenHypervisor::Write(absl::string_view path, absl::string_view value) {
  Domain* domain = DomainOf(path);
  // The directory of a domain that ended is libxl's to remove, and must not come back after that.
  if (domain == nullptr) return;
  // Its name is what libxl called it: other tools expect it to be unique.
  if (path == BaseOf(domain->record.id) + "/name") return;
  if (domain->building) return domain->held.Write(path, value);
  Complain(xenstore_->Write(path, value));
}

absl::StatusOr<std::string> XenHypervisor::Read(absl::string_view path) {
  Domain* domain = DomainOf(path);
  if (domain != nullptr && domain->building) return domain->held.Read(path);
  return xenstore_->Read(path);
}

std::vector<std::string> XenHypervisor::List(absl::string_view path) {
  Domain* domain = DomainOf(path);
  if (domain != nullptr && domain->building) return domain->held.List(path);
  return xenstore_->List(path);
}

void XenHypervisor::Remove(absl::string_view path) {
  Domain* domain = DomainOf(path);
  if (domain == nullptr) return;
  if (domain->building) return domain->held.Remove(path);
  xenstore_->Remove(path);
}

void XenHypervisor::AllowRead(absl::string_view path, DomainId reader) {
  Domain* domain = DomainOf(path);
  if (domain == nullptr) return;
  if (domain->building) return domain->held.AllowRead(path, reader);
  Complain(xenstore_->AllowRead(path, reader));
}

void XenHypervisor::Watch(absl::string_view prefix, std::function<void(const std::string&)> callback) {
  watches_.emplace_back(std::string(prefix), std::move(callback));
}

// What domains write: `data`, and below `backend` in a server.
void XenHypervisor::WatchKeys(DomainId id) {
  Complain(xenstore_->Watch(BaseOf(id) + "/data"));
  if (domains_.at(id).record.kind == DomainKind::kServer) Complain(xenstore_->Watch(BaseOf(id) + "/backend"));
}

void XenHypervisor::UnwatchKeys(DomainId id) {
  const Domain& domain = domains_.at(id);
  if (domain.building) return;
  xenstore_->Unwatch(BaseOf(id) + "/data");
  if (domain.record.kind == DomainKind::kServer) xenstore_->Unwatch(BaseOf(id) + "/backend");
}

void XenHypervisor::OnEvents() {
  std::set<std::string> changed;
  bool released = false;
  for (int i = 0; i < kEventsPerTurn; ++i) {
    const std::optional<Xenstore::Event> event = xenstore_->NextEvent();
    if (!event.has_value()) break;
    if (event->watch == kReleaseDomain) {
      released = true;
    } else if (event->path == event->watch) {
      CollectKeys(event->path, 0, &changed);  // Freshly watched: all that stands there is news.
    } else {
      changed.insert(event->path);
    }
  }
  // Deaths first: somebody waits for the successor.
  if (released) CheckDomains();
  for (const std::string& path : changed) OnChanged(path);
}

void XenHypervisor::CollectKeys(const std::string& path, int depth, std::set<std::string>* keys) {
  for (const std::string& name : xenstore_->List(path)) {
    if (depth >= kMaxDepth || keys->size() >= kMaxKeys) return;
    const std::string key = absl::StrCat(path, "/", name);
    keys->insert(key);
    CollectKeys(key, depth + 1, keys);
  }
}

void XenHypervisor::OnChanged(const std::string& path) {
  Domain* domain = DomainOf(path);
  if (domain == nullptr) return;
  const DomainId id = domain->record.id;
  absl::string_view key = path;
  absl::ConsumePrefix(&key, BaseOf(id) + "/");
  if (key == "data/statistics") domain->statistics.reset();
  if (absl::ConsumePrefix(&key, "data/nic/") && xenstore_->Read(path).value_or("") == "returned") {
    const absl::Status status = pci_->Returned(std::string(key), id);
    if (!status.ok() && observer_ != nullptr) {
      observer_->OnDomainViolation(id, std::string(status.message()));
    }
  }
  // By index: a callback may set another watch.
  for (size_t i = 0; i < watches_.size(); ++i) {
    const auto [prefix, callback] = watches_[i];
    if (Covers(prefix, path)) callback(path);
  }
}

// ---- NICs ----

absl::StatusOr<hypervisor::NicInfo> XenHypervisor::OpenNic(const std::string& nic,
                                                           const hypervisor::NicConfig& config) {
  if (config.pci_address.empty()) {
    return absl::InvalidArgumentError("a NIC on Xen is a PCI function; give its address");
  }
  return pci_->Open(nic, config);
}

absl::Status XenHypervisor::CloseNic(const std::string& nic) { return pci_->Close(nic); }

absl::Status XenHypervisor::GiveNic(const std::string& nic, DomainId id, const std::string& address) {
  if (Find(id) == nullptr) return absl::NotFoundError(absl::StrCat("there is no domain ", id));
  return pci_->Give(nic, id, address);
}

void XenHypervisor::OnGiven(DomainId id, const std::string& nic, const PciAddress& function,
                            const std::string& address, uint32_t mtu) {
  records_->WriteNic(id, {.nic = nic, .function = function, .address = address, .mtu = mtu});
}

void XenHypervisor::OnAttached(DomainId id, const std::string& nic, int slot, const std::string& address,
                               uint32_t mtu) {
  Remove(absl::StrCat(BaseOf(id), "/data/nic/", nic));  // Said of the time before.
  Write(absl::StrCat(BaseOf(id), "/device/nic/", nic), absl::StrCat(slot, " ", address, " ", mtu));
}

void XenHypervisor::OnDetached(DomainId id, const std::string& nic) {
  Remove(absl::StrCat(BaseOf(id), "/device/nic/", nic));
  Remove(absl::StrCat(BaseOf(id), "/data/nic/", nic));
  records_->RemoveNic(id, nic);
  if (observer_ != nullptr && Find(id) != nullptr) observer_->OnDeviceReturned(id, nic);
}

void XenHypervisor::OnTrouble(const std::string& nic, const std::string& what) {
  if (observer_ != nullptr) observer_->OnNicTrouble(nic, what);
}

// ---- Statistics ----

absl::StatusOr<xen::Statistics*> XenHypervisor::StatisticsOf(DomainId id) {
  Domain* domain = Find(id);
  if (domain == nullptr) return absl::NotFoundError(absl::StrCat("there is no domain ", id));
  if (domain->statistics != nullptr) return domain->statistics.get();
  uint32_t ref = 0;
  const absl::StatusOr<std::string> text = Read(BaseOf(id) + "/data/statistics");
  if (!text.ok() || !absl::SimpleAtoi(*text, &ref)) {
    return absl::UnavailableError(absl::StrCat("domain ", id, " has published no statistics yet"));
  }
  auto mapped = xen::Statistics::Map(grant_table_.get(), id, ref);
  if (!mapped.ok()) return mapped.status();
  domain->statistics = *std::move(mapped);
  return domain->statistics.get();
}

absl::StatusOr<std::vector<uint64_t>> XenHypervisor::Statistics(DomainId id) {
  absl::StatusOr<xen::Statistics*> statistics = StatisticsOf(id);
  if (!statistics.ok()) return statistics.status();
  return (*statistics)->Copy();
}

absl::StatusOr<uint64_t> XenHypervisor::Heartbeat(DomainId id) {
  absl::StatusOr<xen::Statistics*> statistics = StatisticsOf(id);
  if (!statistics.ok()) return statistics.status();
  return (*statistics)->Heartbeat();
}

}  // namespace librettos::xen
