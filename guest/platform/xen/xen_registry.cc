#include "guest/platform/xen/xen_registry.h"

#include <algorithm>
#include <charconv>

#include "guest/platform/xen/xenstore_path.h"

namespace librettos::xen {
namespace {

constexpr std::string_view kNul("\0", 1);

// A request's id: what it is, and which.
constexpr uint32_t kKindBits = 2;

struct Token {
  explicit Token(uint32_t id) { size = std::to_chars(text, text + sizeof(text), id).ptr - text; }
  std::string_view view() const { return {text, size}; }
  char text[10];
  size_t size;
};

// True if an error's name says that there is nothing for us to read; after others it is not known what
// stands.
bool MeansAbsent(std::string_view error) {
  return error.starts_with("ENOENT") || error.starts_with("EACCES");
}

}  // namespace

Status XenRegistry::Publish(std::string_view path, std::string_view value) {
  if (!ValidPath(path, kMaxPathBytes) || value.size() > kMaxValueBytes) return Error::kInvalidArgument;
  Key* key = Published(path);
  if (key && key->value == value) return Status();
  if (writes_.size() >= kMaxWrites || (!key && published_.size() >= kMaxPublished)) return Error::kExhausted;
  if (key) {
    key->value = value;
  } else {
    published_.push_back({std::string(path), std::string(value)});
  }
  Write(path, value);
  return Status();
}

void XenRegistry::Remove(std::string_view path) {
  if (!ValidPath(path, kMaxPathBytes)) return;
  // An empty key is an absent one: removing it could need permissions that this domain does not have.
  for (const Key& key : published_) {
    if (Below(key.path, path) && !key.value.empty()) Write(key.path, {});
  }
  std::erase_if(published_, [&](const Key& key) { return Below(key.path, path); });
}

Status XenRegistry::Watch(std::string_view path, RegistryObserver* observer) {
  if (!ValidPath(path, kMaxPathBytes) || !observer) return Error::kInvalidArgument;
  if (watches_.size() >= kMaxWatches) return Error::kExhausted;
  auto watch = std::make_unique<Watched>();
  watch->id = next_watch_++;
  watch->path = path;
  watch->observer = observer;
  watches_.push_back(std::move(watch));
  work_->OnEvent();
  return Status();
}

void XenRegistry::Unwatch(std::string_view path, RegistryObserver* observer) {
  std::erase_if(watches_, [&](const auto& watch) {
    if (watch->path != path || watch->observer != observer) return false;
    if (watch->declared) gone_.push_back({watch->id, watch->path});
    return true;
  });
  work_->OnEvent();
}

bool XenRegistry::Turn() {
  bool signal = ring_.Turn(*this);
  Request();
  signal |= ring_.Turn(*this);
  return signal;
}

void XenRegistry::Write(std::string_view path, std::string_view value) {
  writes_.push_back({std::string(path), std::string(value)});
  work_->OnEvent();
}

// ---- Requests --------------------------------------------------------------------------------------------
void XenRegistry::Request() {
  while (RequestWatch()) {
  }
  while (RequestWrite()) {
  }
  // Each watch in its turn, until all have nothing to read or nothing more can be asked.
  for (size_t idle = 0; idle < watches_.size();) {
    if (next_turn_ >= watches_.size()) next_turn_ = 0;
    if (RequestRead(*watches_[next_turn_])) {
      idle = 0;
    } else {
      ++idle;
    }
    ++next_turn_;
  }
}

bool XenRegistry::RequestWatch() {
  if (watching_) return false;
  const uint32_t id = static_cast<uint32_t>(Kind::kWatch);
  if (!gone_.empty()) {
    const Gone& gone = gone_.front();
    if (!ring_.Send(XS_UNWATCH, id, {gone.path, kNul, Token(gone.id).view(), kNul}).ok()) return false;
    gone_.erase(gone_.begin());
    watching_id_ = 0;
  } else {
    const auto next =
        std::find_if(watches_.begin(), watches_.end(), [](const auto& watch) { return !watch->declared; });
    if (next == watches_.end()) return false;
    Watched& watch = **next;
    if (!ring_.Send(XS_WATCH, id, {watch.path, kNul, Token(watch.id).view(), kNul}).ok()) return false;
    watch.declared = true;
    watching_id_ = watch.id;
  }
  watching_ = true;
  return true;
}

bool XenRegistry::RequestWrite() {
  if (writing_ >= std::min(writes_.size(), kMaxWriting)) return false;
  const Key& key = writes_[writing_];
  if (!ring_.Send(XS_WRITE, static_cast<uint32_t>(Kind::kWrite), {key.path, kNul, key.value}).ok())
    return false;
  ++writing_;
  return true;
}

bool XenRegistry::RequestRead(Watched& watch) {
  if (watch.queue.empty() && watch.rescan) {
    watch.rescan = false;
    watch.queue.push_back(watch.path);
  }
  if (watch.queue.empty()) return false;
  const auto free =
      std::find_if(reads_.begin(), reads_.end(), [](const Read& read) { return read.watch == 0; });
  if (free == reads_.end()) return false;
  const uint32_t id = static_cast<uint32_t>(free - reads_.begin()) << kKindBits;
  const std::string& path = watch.queue.back();
  if (!ring_.Send(XS_READ, id | static_cast<uint32_t>(Kind::kValue), {path, kNul}).ok()) return false;
  const bool both = ring_.Send(XS_DIRECTORY, id | static_cast<uint32_t>(Kind::kChildren), {path, kNul}).ok();
  free->watch = watch.id;
  free->replies = both ? 2 : 1;
  free->path = path;
  // The queue was full in between: once more, later.
  if (both) watch.queue.pop_back();
  return both;
}

// ---- Replies ---------------------------------------------------------------------------------------------
void XenRegistry::OnMessage(uint32_t type, uint32_t id, std::string_view payload) {
  if (type == XS_WATCH_EVENT) return OnWatchEvent(payload);
  const Kind kind{id & ((1u << kKindBits) - 1)};
  const bool ok = type != XS_ERROR;
  if (kind == Kind::kWrite) return OnWritten(ok, payload);
  if (kind == Kind::kWatch) return OnWatchDone(ok, payload);
  const uint32_t index = id >> kKindBits;
  if (index >= kReads || reads_[index].watch == 0) {
    ++counters_.malformed;
    return;
  }
  const Read read = reads_[index];  // Observers may cause new reads.
  if (--reads_[index].replies == 0) reads_[index].watch = 0;
  if (kind == Kind::kValue) {
    OnValue(read, ok, payload);
  } else {
    OnChildren(read, type, payload);
  }
}

void XenRegistry::OnWatchEvent(std::string_view payload) {
  std::string_view path, token;
  uint32_t id = 0;
  if (!TakeText(payload, &path) || !TakeText(payload, &token) ||
      std::from_chars(token.data(), token.data() + token.size(), id).ec != std::errc()) {
    ++counters_.malformed;
    return;
  }
  Watched* watch = Find(id);
  if (!watch) return;  // Crossed with an Unwatch.
  if (!ValidPath(path, kMaxPathBytes) || !Below(path, watch->path)) {
    ++counters_.dropped;
    return;
  }
  if (watch->rescan || std::find(watch->queue.begin(), watch->queue.end(), path) != watch->queue.end())
    return;
  if (watch->queue.size() >= kMaxQueued) {
    watch->rescan = true;
    ++counters_.overflows;
    return;
  }
  // In front: what came first is read first.
  watch->queue.insert(watch->queue.begin(), std::string(path));
}

void XenRegistry::OnValue(const Read& read, bool ok, std::string_view payload) {
  Watched* watch = Find(read.watch);
  if (!watch) return;
  if (!ok && !MeansAbsent(payload)) {
    ++counters_.dropped;
    return;
  }
  bool present = ok && !payload.empty();
  if (payload.size() > kMaxValueBytes) {
    if (ok) ++counters_.dropped;
    present = false;
  }
  const auto known = std::find(watch->known.begin(), watch->known.end(), read.path);
  if (present && known == watch->known.end()) {
    if (watch->known.size() >= kMaxKnown) {
      ++counters_.dropped;
      return;
    }
    watch->known.push_back(read.path);
  }
  if (!present) {
    if (known == watch->known.end()) return;
    watch->known.erase(known);
    payload = {};
  }
  watch->observer->OnKey(read.path, payload, present);
}

void XenRegistry::OnChildren(const Read& read, uint32_t type, std::string_view payload) {
  Watched* watch = Find(read.watch);
  if (!watch) return;
  if (type == XS_ERROR) {
    // For one, too many to be listed: what is known stays.
    if (!MeansAbsent(payload)) {
      ++counters_.dropped;
      return;
    }
    payload = {};
  }
  std::vector<std::string> children;  // Whole paths.
  for (std::string_view name; TakeText(payload, &name);) {
    std::string path = read.path + "/";
    path += name;
    if (!ValidPath(path, kMaxPathBytes) || name.find('/') != name.npos || children.size() >= kMaxQueued) {
      ++counters_.dropped;
      continue;
    }
    children.push_back(std::move(path));
  }
  std::sort(children.begin(), children.end());

  std::vector<std::string> gone;
  std::erase_if(watch->known, [&](std::string& key) {
    if (key.size() <= read.path.size() || !Below(key, read.path)) return false;
    const std::string_view child = std::string_view(key).substr(0, key.find('/', read.path.size() + 1));
    if (std::binary_search(children.begin(), children.end(), child)) return false;
    gone.push_back(std::move(key));
    return true;
  });
  for (auto child = children.rbegin(); child != children.rend(); ++child) {
    if (watch->queue.size() >= kMaxQueued) {
      ++counters_.dropped;
      continue;
    }
    if (std::find(watch->queue.begin(), watch->queue.end(), *child) == watch->queue.end()) {
      watch->queue.push_back(std::move(*child));
    }
  }
  for (const std::string& key : gone) {
    watch = Find(read.watch);  // An observer may have taken it back.
    if (!watch) return;
    watch->observer->OnKey(key, {}, false);
  }
}

void XenRegistry::OnWritten(bool ok, std::string_view payload) {
  if (writing_ == 0) {
    ++counters_.malformed;
    return;
  }
  --writing_;
  const Key key = std::move(writes_.front());
  writes_.erase(writes_.begin());
  // An emptied key may have been removed with what was above it.
  if (ok || key.value.empty()) return;
  Refused("cannot write ", key.path, payload);
  std::erase_if(published_,
                [&](const Key& other) { return other.path == key.path && other.value == key.value; });
}

void XenRegistry::OnWatchDone(bool ok, std::string_view payload) {
  if (!watching_) {
    ++counters_.malformed;
    return;
  }
  watching_ = false;
  if (ok) return;
  const Watched* watch = watching_id_ ? Find(watching_id_) : nullptr;
  Refused("cannot watch ", watch ? watch->path : std::string(), payload);
}

XenRegistry::Watched* XenRegistry::Find(uint32_t id) {
  const auto found =
      std::find_if(watches_.begin(), watches_.end(), [&](const auto& watch) { return watch->id == id; });
  return found == watches_.end() ? nullptr : found->get();
}

XenRegistry::Key* XenRegistry::Published(std::string_view path) {
  const auto found =
      std::find_if(published_.begin(), published_.end(), [&](const Key& key) { return key.path == path; });
  return found == published_.end() ? nullptr : &*found;
}

void XenRegistry::Refused(const char* what, std::string_view path, std::string_view reason) {
  ++counters_.refused;
  std::string line = "registry: ";
  line += what;
  line += path;
  line += ": ";
  for (const char c : reason.substr(0, 16)) {
    if (c >= ' ' && c <= '~') line += c;
  }
  Log(line);
}

}  // namespace librettos::xen
