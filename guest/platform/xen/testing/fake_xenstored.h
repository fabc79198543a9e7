// A small xenstored behind one shared page, for unit tests: values, watches, and refusals.
//
// The page is served by Serve() only, as far as the rings have room; bytes that do not fit stay queued.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "guest/platform/xen/abi.h"

namespace librettos::xen {

class FakeXenstored {
 public:
  xenstore_domain_interface* page() { return &page_; }

  // As domain 0.
  void Write(const std::string& path, const std::string& value);
  void Remove(const std::string& path);
  std::string Value(const std::string& path) const {
    return nodes_.contains(path) ? nodes_.at(path) : "(none)";
  }
  bool Exists(const std::string& path) const { return nodes_.contains(path); }

  // Paths at or below which the domain may not read or write.
  std::set<std::string> unreadable, unwritable;
  // At most so many bytes are moved per Serve() in either direction.
  size_t bytes_per_turn = XENSTORE_RING_SIZE;

  // True if anything was moved.
  bool Serve();
  void SendRaw(std::string_view bytes) { replies_ += bytes; }
  void SendMessage(uint32_t type, uint32_t id, std::string_view payload);

  std::vector<std::pair<uint32_t, std::string>> requests;    // Type and first path, in order.
  std::vector<std::pair<std::string, std::string>> watches;  // Path and token.

 private:
  void Handle(const xsd_sockmsg& header, std::string_view payload);
  void Fire(const std::string& path, bool exact);
  void Put(const std::string& path, const std::string& value);

  xenstore_domain_interface page_{};
  std::map<std::string, std::string> nodes_;
  std::string arriving_;
  std::string replies_;
};

}  // namespace librettos::xen
