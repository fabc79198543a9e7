#include "guest/platform/process/registry.h"

#include <algorithm>

namespace librettos::process {
namespace {

bool ValidPath(std::string_view path) {
  if (path.size() < 2 || path.size() > kMaxPathBytes || path.front() != '/' || path.back() == '/')
    return false;
  return std::all_of(path.begin(), path.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-_/@.:").find(c) != std::string_view::npos;
  });
}

bool Below(std::string_view path, std::string_view prefix) {
  return path.starts_with(prefix) && (path.size() == prefix.size() || path[prefix.size()] == '/');
}

}  // namespace

Status ProcessRegistry::Publish(std::string_view path, std::string_view value) {
  if (!ValidPath(path) || value.size() > kMaxValueBytes) return Error::kInvalidArgument;
  auto [it, fresh] = published_.try_emplace(std::string(path), value);
  if (!fresh && it->second == value) return Status();
  it->second = value;
  removed_.erase(it->first);
  control_.Send({.type = WireType::kPublish, .path = path, .value = value});
  return Status();
}

void ProcessRegistry::Remove(std::string_view path) {
  if (!ValidPath(path)) return;
  std::erase_if(published_, [&](const auto& key) { return Below(key.first, path); });
  if (!control_.connected()) removed_.emplace(path);
  control_.Send({.type = WireType::kRemove, .path = path});
}

bool ProcessRegistry::HasWatch(std::string_view path) const {
  return std::any_of(watches_.begin(), watches_.end(),
                     [&](const auto& watch) { return watch->path == path; });
}

bool ProcessRegistry::Covered(std::string_view path) const {
  return std::any_of(watches_.begin(), watches_.end(),
                     [&](const auto& watch) { return Below(path, watch->path); });
}

Status ProcessRegistry::Watch(std::string_view path, RegistryObserver* observer) {
  if (!ValidPath(path) || !observer) return Error::kInvalidArgument;
  const bool declared = HasWatch(path);
  auto watch = std::make_unique<Watched>();
  watch->id = next_watch_++;
  watch->path = path;
  watch->observer = observer;
  for (const auto& [key, state] : keys_) {
    if (Below(key, path)) watch->dirty.insert(key);
  }
  if (!watch->dirty.empty()) loop_.RunSoon(this);
  watches_.push_back(std::move(watch));
  if (!declared) control_.Send({.type = WireType::kWatch, .path = path});
  return Status();
}

void ProcessRegistry::Unwatch(std::string_view path, RegistryObserver* observer) {
  const size_t before = watches_.size();
  std::erase_if(watches_,
                [&](const auto& watch) { return watch->path == path && watch->observer == observer; });
  if (watches_.size() == before || HasWatch(path)) return;
  control_.Send({.type = WireType::kUnwatch, .path = path});
  std::erase_if(keys_, [&](const auto& key) { return !Covered(key.first); });
}

void ProcessRegistry::Redeclare() {
  ++connection_;
  for (const std::string& path : removed_) control_.Send({.type = WireType::kRemove, .path = path});
  removed_.clear();
  for (const auto& [path, value] : published_) {
    control_.Send({.type = WireType::kPublish, .path = path, .value = value});
  }
  std::set<std::string_view> declared;
  for (const auto& watch : watches_) {
    if (declared.insert(watch->path).second) control_.Send({.type = WireType::kWatch, .path = watch->path});
  }
}

bool ProcessRegistry::OnKey(std::string_view path, std::string_view value, bool present) {
  if (!ValidPath(path)) return false;
  if (!Covered(path)) return true;  // Crossed with an Unwatch.
  const std::string key(path);
  if (present) {
    keys_[key] = {std::string(value), connection_};
  } else if (keys_.erase(key) == 0) {
    return true;
  }
  MarkDirty(key);
  return true;
}

bool ProcessRegistry::OnSynced(std::string_view path) {
  if (!ValidPath(path)) return false;
  // What existed for the daemon before and was not told by this one is gone.
  for (auto it = keys_.begin(); it != keys_.end();) {
    if (it->second.connection == connection_ || !Below(it->first, path)) {
      ++it;
      continue;
    }
    MarkDirty(it->first);
    it = keys_.erase(it);
  }
  return true;
}

void ProcessRegistry::MarkDirty(const std::string& path) {
  for (const auto& watch : watches_) {
    if (Below(path, watch->path)) watch->dirty.insert(path);
  }
  loop_.RunSoon(this);
}

void ProcessRegistry::OnEvent() {
  // Observers may watch, unwatch and publish: look everything up again after each call.
  std::vector<uint64_t> round;
  for (const auto& watch : watches_) {
    if (!watch->dirty.empty()) round.push_back(watch->id);
  }
  for (const uint64_t id : round) {
    auto find = [&]() -> Watched* {
      for (const auto& watch : watches_) {
        if (watch->id == id) return watch.get();
      }
      return nullptr;
    };
    Watched* watch = find();
    if (!watch) continue;
    std::set<std::string> dirty;
    dirty.swap(watch->dirty);
    for (const std::string& path : dirty) {
      if (!find()) break;
      const auto found = keys_.find(path);
      if (found != keys_.end()) {
        watch->known.insert(path);
        const std::string value = found->second.value;
        watch->observer->OnKey(path, value, true);
      } else if (watch->known.erase(path) != 0) {
        watch->observer->OnKey(path, {}, false);
      }
    }
  }
}

}  // namespace librettos::process
