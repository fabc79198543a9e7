#include "guest/net/stack.h"

#include <algorithm>
#include <new>

#include "guest/net/config_reader.h"
#include "guest/net/tcp_flow.h"
#include "guest/net/text.h"
#include "lwip/init.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/timeouts.h"

namespace librettos::guest {

namespace {

Stack* current;
constexpr Nanoseconds kMillisecond = 1'000'000;
// While busy, the platform's own work (registry, signals of the NIC) gets its turn this often.
constexpr Nanoseconds kPlatformTurn = 200'000;
constexpr Nanoseconds kHeartbeat = 100 * kMillisecond;

}  // namespace

Stack* Stack::instance() { return current; }

Status Stack::Start(Platform& platform) {
  if (current) return Error::kInUse;
  auto* stack = new (std::nothrow) Stack(platform);
  if (!stack) return Error::kExhausted;
  current = stack;
  Status status = stack->Init();
  if (!status.ok()) Stop();
  return status;
}

void Stack::Stop() {
  delete current;
  current = nullptr;
}

Stack::~Stack() {
  delete mode_;
  delete leases_;
  delete interface_;
  delete end_;
  if (statistics_) statistics_->Release();
}

Status Stack::Init() {
  static bool initialised = false;
  if (!initialised) lwip_init();
  initialised = true;
  Status status = PublishStatistics();
  if (!status.ok()) return status;
  NetworkConfig config;
  status = ReadConfig(&config);
  if (!status.ok()) return status;

  auto* row = reinterpret_cast<StatisticsRow*>(header_ + 1);
  Text base;
  base << "/local/domain/" << uint64_t{platform_.self()} << "/device/vif/0";
  channel::Geometry geometry;
  geometry.queue_pairs = config.queue_pairs;
  geometry.entries = 2048;  // 4 MiB of 2 KiB slots each way: about one TCP window.
  auto end = channel::GuestEnd::Create(platform_, base.view(), geometry, this);
  if (!end.ok()) return end.error();
  end_ = *end;
  interface_ = Interface::Create(config, end_, row->values, this);
  if (!interface_) return Error::kExhausted;
  leases_ = new (std::nothrow) LeaseClient(*end_, *interface_);
  mode_ = new (std::nothrow) ModeSwitch(platform_, *interface_, *end_);
  if (!leases_ || !mode_) return Error::kExhausted;
  mode_->Start();
  if (!config.shared) interface_->Announce(Route::kChannel);
  interface_->Flush();
  return {};
}

Status Stack::PublishStatistics() {
  auto region = platform_.Allocate(StatisticsBytes(1));
  if (!region.ok()) return region.error();
  statistics_ = *region;
  header_ = reinterpret_cast<StatisticsHeader*>(statistics_->bytes().data());
  header_->version.store(kStatisticsVersion, std::memory_order_relaxed);
  header_->rows.store(1, std::memory_order_relaxed);
  reinterpret_cast<StatisticsRow*>(header_ + 1)
      ->key.store(uint64_t{platform_.self()} + 1, std::memory_order_relaxed);
  // Last: who sees the magic finds the rest in place.
  header_->magic.store(kStatisticsMagic, std::memory_order_release);
  auto ref = statistics_->GrantTo(kControlDomain, false);
  if (!ref.ok()) return ref.error();
  Text path, value;
  path << "/local/domain/" << uint64_t{platform_.self()} << "/data/statistics";
  value << uint64_t{*ref};
  return platform_.registry().Publish(path.view(), value.view());
}

Status Stack::ReadConfig(NetworkConfig* config) {
  ConfigReader reader(platform_);
  Status status = reader.Start();
  if (!status.ok()) return status;
  while (!reader.Complete(Now())) {
    if (platform_.loop().stopping()) return Error::kUnavailable;
    header_->heartbeat.fetch_add(1, std::memory_order_relaxed);
    platform_.loop().Wait(Now() + 50 * kMillisecond);
  }
  *config = reader.config();
  return {};
}

void Stack::Timers(Nanoseconds now) {
  if (now < next_timer_) return;
  sys_check_timeouts();
  TcpFlow::MarkWaiting();
  // A program that hangs is a guest that hangs, wherever it runs.
  if (sharing_.ProgramLives()) {
    header_->heartbeat.store(header_->heartbeat.load(std::memory_order_relaxed) + 1,
                             std::memory_order_relaxed);
  }
  uint64_t connections = 0;
  for (tcp_pcb* pcb = tcp_active_pcbs; pcb; pcb = pcb->next) connections++;
  interface_->SetCounter(Counter::k_connections, connections);
  uint64_t sleep = sys_timeouts_sleeptime();
  next_timer_ = now + std::clamp<Nanoseconds>(sleep * kMillisecond, kMillisecond, kHeartbeat);
}

bool Stack::Work() {
  bool any = interface_->Receive();
  Nanoseconds now = Now();
  Timers(now);
  leases_->Tick(now);
  TcpFlow::PumpMarked();
  mode_->Tick(now);
  interface_->Flush();
  TcpFlow::PumpMarked();  // Flush may have made room.
  interface_->Flush();
  return any;
}

void Stack::Turn(Nanoseconds deadline) {
  sharing_.Lock();
  TurnLocked(deadline);
  if (platform_.loop().stopping()) sharing_.News();
  sharing_.Unlock();
}

void Stack::TurnLocked(Nanoseconds deadline) {
  bool any = Work();
  Nanoseconds now = Now();
  if (any || deadline == 0 || deadline <= now) {
    if (now >= next_wait_) {
      next_wait_ = now + kPlatformTurn;
      platform_.loop().Wait(0);
    }
    return;
  }
  for (Nanoseconds until = std::min(deadline, now + kSpin); Now() < until;) {
    sharing_.Pass();
    if (Work()) return;
  }
  if (interface_->Arm()) {
    // A new connection needs its timer sooner than a quiet stack's: ask lwIP again.
    uint64_t sleep = sys_timeouts_sleeptime();
    Nanoseconds timer = std::min(next_timer_, now + sleep * kMillisecond);
    sharing_.Wait(std::max<Nanoseconds>(1, std::min({deadline, timer, mode_->next(), leases_->next()})));
    next_timer_ = std::min(next_timer_, timer);
  }
  interface_->Disarm();
  Work();
}

void Stack::OnControl(const channel::ControlMessage& message) {
  leases_->OnReply(message);
  sharing_.News();
}
void Stack::OnRoom() { TcpFlow::MarkWaiting(); }

// For the daemon to show. It does not say who it was: several servers have the memory.
void Stack::OnServerViolation(channel::Violation violation) {
  Text path, value;
  path << "/local/domain/" << uint64_t{platform_.self()} << "/data/violation";
  value << interface_->Get(Counter::k_server_violations) << " " << channel::ToString(violation);
  // Refusals are logged and counted by the platform.
  (void)platform_.registry().Publish(path.view(), value.view());
}

void Stack::OnChannelEvent() {
  if (!interface_) return;
  interface_->Count(Counter::k_events_received);
  interface_->OnChannelEvent();
}

void Stack::OnServerChanged(DomainId, uint32_t epoch) {
  if (!interface_) return;
  interface_->SetCounter(Counter::k_server_epoch, epoch);
  if (leases_) leases_->OnServerChanged();
}

}  // namespace librettos::guest
