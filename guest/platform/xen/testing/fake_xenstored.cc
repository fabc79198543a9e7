#include "guest/platform/xen/testing/fake_xenstored.h"

#include <algorithm>
#include <cstring>

#include "guest/platform/xen/xenstore_path.h"

namespace librettos::xen {
namespace {

bool Covered(const std::set<std::string>& tops, const std::string& path) {
  return std::any_of(tops.begin(), tops.end(), [&](const std::string& top) { return Below(path, top); });
}

const std::string kNul(1, '\0');

}  // namespace

void FakeXenstored::Put(const std::string& path, const std::string& value) {
  for (size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    nodes_.try_emplace(path.substr(0, slash));
  }
  nodes_[path] = value;
}

void FakeXenstored::Write(const std::string& path, const std::string& value) {
  Put(path, value);
  Fire(path, false);
}

void FakeXenstored::Remove(const std::string& path) {
  std::vector<std::string> gone;
  for (const auto& [key, value] : nodes_) {
    if (Below(key, path)) gone.push_back(key);
  }
  for (const std::string& key : gone) nodes_.erase(key);
  Fire(path, false);
  for (const std::string& key : gone) {
    if (key != path) Fire(key, true);
  }
}

void FakeXenstored::Fire(const std::string& path, bool exact) {
  for (const auto& [top, token] : watches) {
    if (exact ? path == top : Below(path, top)) SendMessage(XS_WATCH_EVENT, 0, path + kNul + token + kNul);
  }
}

void FakeXenstored::SendMessage(uint32_t type, uint32_t id, std::string_view payload) {
  const xsd_sockmsg header = {type, id, 0, static_cast<uint32_t>(payload.size())};
  replies_.append(reinterpret_cast<const char*>(&header), sizeof(header));
  replies_ += payload;
}

bool FakeXenstored::Serve() {
  size_t moved = 0;
  while (page_.req_cons != page_.req_prod && moved < bytes_per_turn) {
    arriving_ += page_.req[MASK_XENSTORE_IDX(page_.req_cons++)];
    ++moved;
  }
  for (xsd_sockmsg header; arriving_.size() >= sizeof(header);) {
    std::memcpy(&header, arriving_.data(), sizeof(header));
    if (arriving_.size() < sizeof(header) + header.len) break;
    Handle(header, std::string_view(arriving_).substr(sizeof(header), header.len));
    arriving_.erase(0, sizeof(header) + header.len);
  }
  size_t sent = 0;
  while (sent < replies_.size() && sent < bytes_per_turn &&
         page_.rsp_prod - page_.rsp_cons < XENSTORE_RING_SIZE) {
    page_.rsp[MASK_XENSTORE_IDX(page_.rsp_prod++)] = replies_[sent++];
  }
  replies_.erase(0, sent);
  return moved + sent > 0;
}

void FakeXenstored::Handle(const xsd_sockmsg& header, std::string_view payload) {
  std::string_view text;
  if (!TakeText(payload, &text)) return SendMessage(XS_ERROR, header.req_id, "EINVAL" + kNul);
  const std::string path(text);
  requests.emplace_back(header.type, path);
  auto error = [&](const char* name) { SendMessage(XS_ERROR, header.req_id, name + kNul); };
  auto reply = [&](std::string_view answer) { SendMessage(header.type, header.req_id, answer); };
  switch (header.type) {
    case XS_READ:
      if (Covered(unreadable, path)) return error("EACCES");
      if (!nodes_.contains(path)) return error("ENOENT");
      return reply(nodes_[path]);
    case XS_DIRECTORY: {
      if (Covered(unreadable, path)) return error("EACCES");
      if (!nodes_.contains(path)) return error("ENOENT");
      std::string names;
      for (const auto& [key, value] : nodes_) {
        if (key.size() > path.size() && Below(key, path) && key.find('/', path.size() + 1) == key.npos) {
          names += key.substr(path.size() + 1) + kNul;
        }
      }
      return names.size() > XENSTORE_PAYLOAD_MAX ? error("E2BIG") : reply(names);
    }
    case XS_WRITE:
      if (Covered(unwritable, path)) return error("EACCES");
      Put(path, std::string(payload));
      reply("OK" + kNul);
      return Fire(path, false);
    case XS_WATCH:
    case XS_UNWATCH: {
      if (!TakeText(payload, &text)) return error("EINVAL");
      const std::pair<std::string, std::string> watch(path, text);
      const auto found = std::find(watches.begin(), watches.end(), watch);
      if (header.type == XS_UNWATCH) {
        if (found == watches.end()) return error("ENOENT");
        watches.erase(found);
        return reply("OK" + kNul);
      }
      if (found != watches.end()) return error("EEXIST");
      watches.push_back(watch);
      reply("OK" + kNul);
      return SendMessage(XS_WATCH_EVENT, 0, path + kNul + watch.second + kNul);
    }
    default:
      return error("ENOSYS");
  }
}

}  // namespace librettos::xen
