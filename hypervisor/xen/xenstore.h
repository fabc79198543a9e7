// xenstore, as domain 0. Loop thread only: each call is one round trip to xenstored, which is on this host.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/xen/held_keys.h"
#include "hypervisor/xen/xen_headers.h"

namespace librettos::xen {

using hypervisor::DomainId;

// The permissions of a key (docs/xen.md, Registry): the first entry is the owner, who may do anything; it
// also says what all others may. `present` with `reader` added as one that may read and `owner` as the owner.
std::vector<xs_permissions> WithReader(const std::vector<xs_permissions>& present, DomainId owner,
                                       DomainId reader);
bool SamePermissions(const std::vector<xs_permissions>& a, const std::vector<xs_permissions>& b);

// In whose subtree `path` lies: 7 for /local/domain/7 and what is below it.
std::optional<DomainId> OwnerOf(absl::string_view path);

class Xenstore final : public KeyWriter {
 public:
  // Unavailable: xenstored cannot be reached.
  static absl::StatusOr<std::unique_ptr<Xenstore>> Create();
  ~Xenstore();
  Xenstore(const Xenstore&) = delete;

  // A key that is made inherits the permissions of the one above it.
  absl::Status Write(absl::string_view path, absl::string_view value) override;
  // Gives the key to the domain in whose subtree it lies and lets `reader` read it; made empty if it is
  // absent.
  absl::Status AllowRead(absl::string_view path, DomainId reader) override;
  // Lets only domain 0 read what is at and will be made below `path`, which is made empty if it is absent.
  absl::Status Hide(absl::string_view path);
  // NotFound also for an empty value.
  absl::StatusOr<std::string> Read(absl::string_view path);
  std::vector<std::string> List(absl::string_view path);
  void Remove(absl::string_view path);  // With everything below; harmless if it is absent.

  // Each change at or below `path` from now on makes an event; one comes at once.
  absl::Status Watch(absl::string_view path);
  void Unwatch(absl::string_view path);
  int descriptor() const { return xs_fileno(handle_); }  // Readable while there are events.
  struct Event {
    std::string path;
    std::string watch;  // The path that was given to Watch.
  };
  std::optional<Event> NextEvent();  // Nothing: no more now.

 private:
  explicit Xenstore(xs_handle* handle) : handle_(handle) {}
  absl::Status SetPermissions(absl::string_view path, DomainId owner, std::optional<DomainId> reader);

  xs_handle* const handle_;
};

}  // namespace librettos::xen
