// The domain's registry in xenstore; see docs/xen.md, "Registry".
//
// A watch event says that something changed at a path: the client reads value and children there,
// recursively, and tells the observer what stands. So it is level-triggered: events on a path that is queued
// already add nothing, and when the queue of a watch overflows, the watch is read anew from its top. Peers
// write below what is watched; each watch has its own queue and its turn, so that no peer's keys delay
// another's.
//
// Loop thread only; observers are called from Turn(), which the loop calls. Requests under way are fewer than
// xenstored's default quota (20), beyond which it would stop listening.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "guest/platform/platform.h"
#include "guest/platform/xen/xenstore_ring.h"

namespace librettos::xen {

class XenRegistry final : public Registry, private XenstoreReceiver {
 public:
  static constexpr size_t kMaxWatches = 512;
  static constexpr size_t kMaxKnown = 1024;      // Keys per watch.
  static constexpr size_t kMaxQueued = 1024;     // Paths to be read, per watch.
  static constexpr size_t kMaxPublished = 2048;  // Keys of this domain.
  static constexpr size_t kMaxWrites = 512;      // Waiting to be written.
  static constexpr size_t kMaxPathBytes = 255;
  static constexpr size_t kMaxValueBytes = 1024;

  struct Counters {
    uint64_t refused = 0;    // Writes and watches that xenstored refused.
    uint64_t dropped = 0;    // Keys beyond kMaxKnown or kMaxQueued, too long, or with a value too long.
    uint64_t overflows = 0;  // Watches read anew because too much happened at once.
    uint64_t malformed = 0;  // Messages that make no sense.
  };

  // `work` is called when Turn() has something to do although xenstored did not signal.
  XenRegistry(XenstoreRing& ring, Handler* work) : ring_(ring), work_(work) {}

  Status Publish(std::string_view path, std::string_view value) override;
  void Remove(std::string_view path) override;
  Status Watch(std::string_view path, RegistryObserver* observer) override;
  void Unwatch(std::string_view path, RegistryObserver* observer) override;

  // Does what can be done now. True: xenstored is to be signalled.
  bool Turn();
  // Nothing is to be written, and no write is under way.
  bool written() const { return writes_.empty() && writing_ == 0; }
  const Counters& counters() const { return counters_; }

 private:
  static constexpr size_t kReads = 6;       // Under way, two requests each.
  static constexpr size_t kMaxWriting = 4;  // Under way. Together with one (un)watch: 17.

  enum class Kind : uint32_t { kValue, kChildren, kWrite, kWatch };
  struct Key {
    std::string path;
    std::string value;
  };
  struct Watched {
    uint32_t id;
    std::string path;
    RegistryObserver* observer;
    bool declared = false;
    bool rescan = false;             // Something was lost: read all of it.
    std::vector<std::string> queue;  // To be read; the last one first.
    std::vector<std::string> known;  // Told to exist.
  };
  struct Read {
    uint32_t watch = 0;  // 0: free.
    std::string path;
    unsigned replies = 0;  // Still to come.
  };
  struct Gone {
    uint32_t id;
    std::string path;
  };

  void OnMessage(uint32_t type, uint32_t id, std::string_view payload) override;
  void OnWatchEvent(std::string_view payload);
  void OnValue(const Read& read, bool ok, std::string_view payload);
  void OnChildren(const Read& read, uint32_t type, std::string_view payload);
  void OnWritten(bool ok, std::string_view payload);
  void OnWatchDone(bool ok, std::string_view payload);

  void Request();
  bool RequestWatch();
  bool RequestWrite();
  bool RequestRead(Watched& watch);
  void Write(std::string_view path, std::string_view value);
  Watched* Find(uint32_t id);
  Key* Published(std::string_view path);
  void Refused(const char* what, std::string_view path, std::string_view reason);

  XenstoreRing& ring_;
  Handler* work_;
  Counters counters_;
  uint32_t next_watch_ = 1;
  size_t next_turn_ = 0;  // Index of the watch whose turn it is.
  std::vector<std::unique_ptr<Watched>> watches_;
  std::vector<Gone> gone_;  // Watches to be taken back.
  std::vector<Key> published_;
  std::vector<Key> writes_;  // In order; the first `writing_` are under way.
  size_t writing_ = 0;
  bool watching_ = false;     // A watch or unwatch is under way.
  uint32_t watching_id_ = 0;  // Whose; 0: an unwatch.
  std::array<Read, kReads> reads_;
};

}  // namespace librettos::xen
