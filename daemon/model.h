// All resources, in memory: specification and what is persisted of the status. Loop thread only.
//
// Reconcilers change records in place and call MarkDirty (written a moment later) or Commit (durable on
// return). Numbers that must never be used twice come from blocks that were written down ahead, so that
// taking one costs no write.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "daemon/scheduler.h"
#include "daemon/state.pb.h"
#include "daemon/store.h"
#include "daemon/watch.h"

namespace librettos::daemon {

inline constexpr uint32_t kNumberBlock = 1000;
inline constexpr size_t kMaxRequests = 1000;
inline constexpr size_t kMaxOperations = 1000;

class Model {
 public:
  Model(Scheduler& scheduler, Store& store, WatchHub& hub)
      : scheduler_(scheduler), store_(store), hub_(hub) {}
  Model(const Model&) = delete;

  // Reads the state file and writes it anew with the next blocks reserved.
  absl::Status Load();
  absl::Status Commit();
  void MarkDirty();
  // Tells watchers that the resource may look different.
  void Changed(const std::string& name) { hub_.Notify(name); }

  uint32_t NextEpoch();
  uint32_t NextChange();
  // Told of each id that the hypervisor gave out.
  void DomainIdUsed(uint32_t id);
  uint32_t next_domain() const { return next_domain_; }
  std::string NextEtag();
  uint64_t NextOperation() { return next_operation_++; }

  ServerRecord* FindServer(const std::string& name);
  GuestRecord* FindGuest(const std::string& name);
  NicRecord* FindNic(const std::string& name);
  // By collection order of names.
  std::map<std::string, ServerRecord> servers;
  std::map<std::string, GuestRecord> guests;
  std::map<std::string, NicRecord> nics;
  std::map<uint64_t, v1::Operation> operations;  // By number, so by age.
  std::deque<RequestRecord> requests;            // Oldest first.
  // Which resource a running domain belongs to.
  std::map<uint32_t, std::string> owner_of_domain;

 private:
  State ToState() const;
  void Reserve(uint32_t& next, uint32_t& reserved);

  Scheduler& scheduler_;
  Store& store_;
  WatchHub& hub_;
  uint32_t next_domain_ = 1, reserved_domain_ = 1;
  uint32_t next_epoch_ = 1, reserved_epoch_ = 1;
  uint32_t next_change_ = 1, reserved_change_ = 1;
  uint64_t revision_ = 0;
  uint64_t next_operation_ = 1;
  Scheduler::TimerId dirty_timer_ = 0;
};

}  // namespace librettos::daemon
