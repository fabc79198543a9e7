#include "guest/platform/testing/fake_world.h"

#include <cstdio>

namespace librettos::fake {

FakeWorld::FakeWorld() = default;
FakeWorld::~FakeWorld() = default;

FakePlatform* FakeWorld::AddDomain(DomainId id) {
  auto& slot = domains_[id];
  slot = std::make_unique<FakePlatform>(this, id);
  return slot.get();
}

FakePlatform* FakeWorld::domain(DomainId id) {
  auto found = domains_.find(id);
  return found == domains_.end() ? nullptr : found->second.get();
}

void FakeWorld::KillDomain(DomainId id) {
  domains_.at(id)->dead_ = true;
  std::erase_if(grants_, [&](const auto& grant) { return grant.first.first == id; });
  std::erase_if(offers_, [&](const auto& offer) { return offer.first.first == id; });
  Remove("/local/domain/" + std::to_string(id));
}

void FakeWorld::Write(const std::string& path, const std::string& value) {
  keys_[path] = value;
  Changed(path);
}

std::optional<std::string> FakeWorld::Read(const std::string& path) const {
  auto found = keys_.find(path);
  if (found == keys_.end()) return std::nullopt;
  return found->second;
}

void FakeWorld::Remove(const std::string& path) {
  for (auto it = keys_.begin(); it != keys_.end();) {
    if (!Below(it->first, path)) {
      ++it;
      continue;
    }
    const std::string gone = it->first;
    it = keys_.erase(it);
    Changed(gone);
  }
}

void FakeWorld::Changed(const std::string& path) {
  for (auto& [id, platform] : domains_) {
    for (auto& watch : platform->watches_) {
      if (Below(path, watch->path)) watch->dirty.insert(path);
    }
  }
}

void FakeWorld::GiveDevice(DomainId id, const Device& device) {
  FakePlatform* platform = domains_.at(id).get();
  platform->held_.push_back(device);
  platform->untold_.push_back(device);
}

bool FakeWorld::HoldsDevice(DomainId id, std::string_view name) const {
  for (const Device& device : domains_.at(id)->held_) {
    if (name == device.name) return true;
  }
  return false;
}

void FakeWorld::SetDaemonAlive(bool alive) {
  if (alive && !daemon_alive_) {
    // A new daemon: all watches are told of the whole state again.
    for (auto& [id, platform] : domains_) {
      for (auto& watch : platform->watches_) {
        for (const auto& [path, value] : keys_) {
          if (Below(path, watch->path)) watch->dirty.insert(path);
        }
      }
    }
  }
  daemon_alive_ = alive;
}

bool FakeWorld::RunOnce() {
  std::vector<FakePlatform*> all;
  for (auto& [id, platform] : domains_) all.push_back(platform.get());
  bool any = false;
  for (FakePlatform* platform : all) any |= platform->Turn();
  return any;
}

void FakeWorld::RunUntilIdle(int max_rounds) {
  for (int round = 0; round < max_rounds; ++round) {
    if (!RunOnce()) return;
  }
  std::fprintf(stderr,
               "FakeWorld::RunUntilIdle: still busy after %d rounds: the domains wake each other for ever\n",
               max_rounds);
  std::abort();
}

}  // namespace librettos::fake
