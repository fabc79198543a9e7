// FakePlatform's registry and files.
#include <algorithm>
#include <cctype>
#include <cstring>

#include "guest/platform/testing/fake_world.h"

namespace librettos::fake {
namespace {

bool ValidPath(std::string_view path) {
  if (path.size() < 2 || path.size() > 255 || path[0] != '/' || path.ends_with('/')) return false;
  return std::all_of(path.begin(), path.end(), [](unsigned char c) {
    return std::isalnum(c) || std::string_view("-_/@.:").find(static_cast<char>(c)) != std::string_view::npos;
  });
}

}  // namespace

bool FakePlatform::Owns(std::string_view path) const {
  return Below(path, "/local/domain/" + std::to_string(id_));
}

Status FakePlatform::Publish(std::string_view path, std::string_view value) {
  if (!ValidPath(path) || value.size() > 1024) {
    ++world_->violations_;
    return Error::kInvalidArgument;
  }
  if (!Owns(path)) {
    ++world_->violations_;
    return Status();  // As for real: the refusal comes later, and only into the log.
  }
  if (!dead_) world_->Write(std::string(path), std::string(value));
  return Status();
}

void FakePlatform::Remove(std::string_view path) {
  if (!ValidPath(path) || !Owns(path)) {
    ++world_->violations_;
    return;
  }
  if (!dead_) world_->Remove(std::string(path));
}

Status FakePlatform::Watch(std::string_view path, RegistryObserver* observer) {
  if (!ValidPath(path) || !observer) return Error::kInvalidArgument;
  auto watch = std::make_unique<WatchState>();
  watch->path = path;
  watch->observer = observer;
  for (const auto& [key, value] : world_->keys_) {
    if (Below(key, path)) watch->dirty.insert(key);
  }
  watches_.push_back(std::move(watch));
  return Status();
}

void FakePlatform::Unwatch(std::string_view path, RegistryObserver* observer) {
  std::erase_if(watches_,
                [&](const auto& watch) { return watch->path == path && watch->observer == observer; });
}

bool FakePlatform::TurnRegistry() {
  bool any = false;
  std::vector<WatchState*> round;
  for (auto& watch : watches_) round.push_back(watch.get());
  for (WatchState* watch : round) {
    auto alive = [&] {
      return std::any_of(watches_.begin(), watches_.end(), [&](auto& w) { return w.get() == watch; });
    };
    if (!alive()) continue;
    // Only what is dirty now: what handlers change is for the next round.
    std::set<std::string> dirty;
    dirty.swap(watch->dirty);
    for (const std::string& path : dirty) {
      if (!alive()) break;
      const std::optional<std::string> value = world_->Read(path);
      if (value) {
        watch->known.insert(path);
      } else if (watch->known.erase(path) == 0) {
        continue;
      }
      any = true;
      watch->observer->OnKey(path, value ? *value : "", value.has_value());
    }
  }
  return any;
}

void FakePlatform::AddFile(const std::string& path, const std::string& content) { files_[path] = content; }

Result<int> FakePlatform::Open(std::string_view path, FileInfo* info) {
  while (path.ends_with('/')) path.remove_suffix(1);
  auto found = files_.find(std::string(path));
  if (found == files_.end()) {
    const bool directory = std::any_of(files_.begin(), files_.end(), [&](auto& file) {
      return path.empty() || path == "." || (file.first != path && Below(file.first, path));
    });
    if (!directory) return Error::kNotFound;
    if (info) *info = {0, true};
  } else if (info) {
    *info = {found->second.size(), false};
  }
  int handle = 0;
  while (open_files_.contains(handle)) ++handle;
  open_files_[handle] = path;
  return handle;
}

Result<size_t> FakePlatform::ReadAt(int handle, uint64_t offset, std::span<std::byte> out) {
  auto open = open_files_.find(handle);
  if (open == open_files_.end()) return Error::kInvalidArgument;
  auto file = files_.find(open->second);
  if (file == files_.end()) return Error::kInvalidArgument;
  if (offset >= file->second.size()) return size_t{0};
  const size_t bytes = std::min<size_t>(out.size(), file->second.size() - offset);
  std::memcpy(out.data(), file->second.data() + offset, bytes);
  return bytes;
}

void FakePlatform::Close(int handle) { open_files_.erase(handle); }

Status FakePlatform::List(std::string_view path, void (*entry)(void*, std::string_view, const FileInfo&),
                          void* context) {
  while (path.ends_with('/')) path.remove_suffix(1);
  const std::string prefix = path.empty() || path == "." ? "" : std::string(path) + "/";
  std::map<std::string, FileInfo> found;
  for (const auto& [name, content] : files_) {
    if (!name.starts_with(prefix)) continue;
    const std::string rest = name.substr(prefix.size());
    const size_t slash = rest.find('/');
    found[rest.substr(0, slash)] = {slash == std::string::npos ? content.size() : 0,
                                    slash != std::string::npos};
  }
  if (found.empty()) return Error::kNotFound;
  for (const auto& [name, info] : found) entry(context, name, info);
  return Status();
}

}  // namespace librettos::fake
