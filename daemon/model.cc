#include "daemon/model.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "daemon/log.h"

namespace librettos::daemon {
namespace {

template <class Record>
Record* Find(std::map<std::string, Record>& records, const std::string& name) {
  auto it = records.find(name);
  return it == records.end() ? nullptr : &it->second;
}

constexpr absl::Duration kWriteDelay = absl::Milliseconds(10);
constexpr absl::Duration kWriteRetry = absl::Seconds(1);

}  // namespace

absl::Status Model::Load() {
  auto state = store_.Load();
  if (!state.ok()) return state.status();
  for (auto& r : *state->mutable_servers()) servers[r.resource().name()] = std::move(r);
  for (auto& r : *state->mutable_guests()) guests[r.resource().name()] = std::move(r);
  for (auto& r : *state->mutable_nics()) nics[r.resource().name()] = std::move(r);
  for (auto& r : *state->mutable_requests()) requests.push_back(std::move(r));
  for (auto& o : *state->mutable_operations()) {
    uint64_t number = 0;
    absl::string_view digits = o.name();
    if (absl::ConsumePrefix(&digits, "operations/op") && absl::SimpleAtoi(digits, &number)) {
      operations[number] = std::move(o);
    }
  }
  // What the file holds was reserved by a predecessor: it may have used all of it.
  next_domain_ = std::max(1u, state->next_domain());
  next_epoch_ = std::max(1u, state->next_epoch());
  next_change_ = std::max(1u, state->next_change());
  reserved_domain_ = next_domain_ + kNumberBlock;
  reserved_epoch_ = next_epoch_ + kNumberBlock;
  reserved_change_ = next_change_ + kNumberBlock;
  revision_ = state->revision();
  next_operation_ = std::max<uint64_t>(1, state->next_operation());
  return Commit();
}

State Model::ToState() const {
  State state;
  state.set_next_domain(reserved_domain_);
  state.set_next_epoch(reserved_epoch_);
  state.set_next_change(reserved_change_);
  state.set_revision(revision_);
  state.set_next_operation(next_operation_);
  for (const auto& [name, r] : servers) *state.add_servers() = r;
  for (const auto& [name, r] : guests) *state.add_guests() = r;
  for (const auto& [name, r] : nics) *state.add_nics() = r;
  for (const auto& [number, o] : operations) *state.add_operations() = o;
  for (const auto& r : requests) *state.add_requests() = r;
  return state;
}

absl::Status Model::Commit() {
  absl::Status status = store_.Save(ToState());
  if (!status.ok())
    Log(Level::kError, "the state could not be written", {{"error", std::string(status.message())}});
  return status;
}

void Model::MarkDirty() {
  if (dirty_timer_ != 0) return;
  dirty_timer_ = scheduler_.After(kWriteDelay, [this] {
    dirty_timer_ = 0;
    if (Commit().ok()) return;
    dirty_timer_ = scheduler_.After(kWriteRetry, [this] {
      dirty_timer_ = 0;
      MarkDirty();
    });
  });
}

void Model::Reserve(uint32_t& next, uint32_t& reserved) {
  // Half a block ahead, so that the deferred write is long done when the block ends.
  if (reserved - next <= kNumberBlock / 2) {
    bool exhausted = next >= reserved;
    reserved = next + kNumberBlock;
    if (exhausted) (void)Commit();  // Only with a disk that failed for 500 numbers.
    MarkDirty();
  }
}

uint32_t Model::NextEpoch() {
  uint32_t epoch = next_epoch_++;
  Reserve(next_epoch_, reserved_epoch_);
  return epoch;
}

uint32_t Model::NextChange() {
  uint32_t change = next_change_++;
  Reserve(next_change_, reserved_change_);
  return change;
}

void Model::DomainIdUsed(uint32_t id) {
  next_domain_ = std::max(next_domain_, id + 1);
  if (next_domain_ > reserved_domain_) reserved_domain_ = next_domain_;
  Reserve(next_domain_, reserved_domain_);
}

std::string Model::NextEtag() { return absl::StrCat("r", ++revision_); }

ServerRecord* Model::FindServer(const std::string& name) { return Find(servers, name); }
GuestRecord* Model::FindGuest(const std::string& name) { return Find(guests, name); }
NicRecord* Model::FindNic(const std::string& name) { return Find(nics, name); }

}  // namespace librettos::daemon
