// The domain's registry: what it publishes and watches, kept here so that it can be declared to any daemon.
//
// Observers are called at the end of a loop round, with the newest value of each key that changed.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "guest/platform/process/control.h"

namespace librettos::process {

class ProcessRegistry final : public Registry, private Handler {
 public:
  ProcessRegistry(ProcessLoop& loop, Control& control) : loop_(loop), control_(control) {}

  Status Publish(std::string_view path, std::string_view value) override;
  void Remove(std::string_view path) override;
  Status Watch(std::string_view path, RegistryObserver* observer) override;
  void Unwatch(std::string_view path, RegistryObserver* observer) override;

  // A new daemon: sends all of it.
  void Redeclare();
  // From the daemon. False: malformed.
  bool OnKey(std::string_view path, std::string_view value, bool present);
  bool OnSynced(std::string_view path);

 private:
  struct Watched {
    uint64_t id;
    std::string path;
    RegistryObserver* observer;
    std::set<std::string> dirty;  // To be told.
    std::set<std::string> known;  // Told to exist.
  };
  struct Key {
    std::string value;
    uint64_t connection;  // In which it was last told.
  };
  void OnEvent() override;
  void MarkDirty(const std::string& path);
  bool HasWatch(std::string_view path) const;
  bool Covered(std::string_view path) const;

  ProcessLoop& loop_;
  Control& control_;
  uint64_t connection_ = 0;
  uint64_t next_watch_ = 0;
  std::map<std::string, std::string, std::less<>> published_;
  std::set<std::string> removed_;                 // While no daemon was there to be told.
  std::map<std::string, Key, std::less<>> keys_;  // All that the watches cover, as last told.
  std::vector<std::unique_ptr<Watched>> watches_;
};

}  // namespace librettos::process
