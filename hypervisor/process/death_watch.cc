#include "hypervisor/process/death_watch.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <climits>
#include <optional>
#include <utility>
#include <vector>

#include "hypervisor/process/task_state.h"
#include "hypervisor/process/wire.h"

namespace librettos::process {
namespace {

// A thread of a killed process may run on for a moment on another CPU.
constexpr int kConfirmations = 40;
constexpr timespec kBetween = {.tv_sec = 0, .tv_nsec = 25'000};

futex_waitv WaitFor(const std::atomic<uint32_t>* word, uint32_t value, uint32_t flags) {
  futex_waitv wait{};
  wait.val = value;
  wait.uaddr = reinterpret_cast<uintptr_t>(word);
  wait.flags = FUTEX_32 | flags;
  return wait;
}

}  // namespace

class DeathWatch::Word {
 public:
  // nullptr: it cannot be mapped.
  static std::shared_ptr<const Word> Map(const Grants::Memory& memory) {
    if (memory.bytes < sizeof(uint32_t)) return nullptr;
    void* base = mmap(nullptr, sizeof(uint32_t), PROT_READ, MAP_SHARED, memory.descriptor->get(), 0);
    return base == MAP_FAILED ? nullptr : std::make_shared<const Word>(base);
  }
  explicit Word(void* base) : base_(base) {}
  ~Word() { munmap(base_, sizeof(uint32_t)); }
  Word(const Word&) = delete;

  const std::atomic<uint32_t>* get() const { return static_cast<const std::atomic<uint32_t>*>(base_); }
  // Relaxed: a hint; what follows from it is asked of the kernel.
  bool alive() const { return get()->load(std::memory_order_relaxed) == kAlive; }

 private:
  void* const base_;
};

DeathWatch::DeathWatch(std::function<void(hypervisor::DomainId, int)> ended)
    : ended_(std::move(ended)), thread_([this] { Run(); }) {}

DeathWatch::~DeathWatch() {
  stopping_ = true;
  Wake();
  thread_.join();
}

void DeathWatch::Add(hypervisor::DomainId id, pid_t pid, uint64_t start_time, const Grants::Memory& life) {
  std::shared_ptr<const Word> word = Word::Map(life);
  if (word == nullptr || !word->alive()) return;
  {
    absl::MutexLock lock(&mutex_);
    if (table_.size() >= kMaxWatched && table_.count(id) == 0) return;
    table_[id] = Watched{.pid = pid, .start_time = start_time, .word = std::move(word)};
  }
  Wake();
}

void DeathWatch::Remove(hypervisor::DomainId id) {
  {
    absl::MutexLock lock(&mutex_);
    if (table_.erase(id) == 0) return;
  }
  Wake();
}

size_t DeathWatch::watched() const {
  absl::MutexLock lock(&mutex_);
  return table_.size();
}

void DeathWatch::Wake() {
  // Sequentially consistent, as the kernel compares before it sleeps: no wake-up is lost.
  ++turn_;
  syscall(SYS_futex, &turn_, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT_MAX, nullptr, nullptr, 0);
}

bool DeathWatch::Wait(uint32_t turn, const Table& table) {
  std::vector<futex_waitv> waits = {WaitFor(&turn_, turn, FUTEX_PRIVATE_FLAG)};
  for (const auto& [id, watched] : table) waits.push_back(WaitFor(watched.word->get(), kAlive, 0));
  return syscall(SYS_futex_waitv, waits.data(), waits.size(), 0, nullptr, CLOCK_MONOTONIC) >= 0 ||
         errno == EAGAIN || errno == EINTR;
}

void DeathWatch::Confirm(hypervisor::DomainId id, const Watched& watched) {
  std::optional<int> status;
  for (int i = 0; i < kConfirmations && !status.has_value(); ++i) {
    if (i > 0) nanosleep(&kBetween, nullptr);
    status = EndedWith(watched.pid, watched.start_time);
  }
  {
    absl::MutexLock lock(&mutex_);
    auto found = table_.find(id);
    if (found == table_.end() || found->second.word != watched.word) return;
    table_.erase(found);
  }
  if (status.has_value()) ended_(id, *status);
}

void DeathWatch::Run() {
  while (true) {
    // Before the table is read: a change after this ends the wait.
    const uint32_t turn = turn_;
    if (stopping_) return;
    Table table;
    {
      absl::MutexLock lock(&mutex_);
      table = table_;
    }
    bool found = false;
    for (const auto& [id, watched] : table) {
      if (watched.word->alive()) continue;
      Confirm(id, watched);
      found = true;
    }
    if (found) continue;
    if (!Wait(turn, table)) return;
  }
}

}  // namespace librettos::process
