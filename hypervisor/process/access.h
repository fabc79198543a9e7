// Who may read and write which keys, by their place in the tree: the table of docs/protocols.md, and the only
// place where it stands in code. Grants of single paths (Hypervisor::AllowRead, Reserve) come on top, in
// registry.h.
#pragma once

#include <optional>

#include "absl/strings/string_view.h"
#include "hypervisor/hypervisor.h"

namespace librettos::process {

using hypervisor::DomainId;

// The domain in whose subtree `path` lies: 7 for /local/domain/7 and what is below it.
std::optional<DomainId> OwnerOf(absl::string_view path);

// Whether a valid `path` in a domain's subtree is for the daemon alone to write.
bool ReservedByRule(absl::string_view path);

// Whether `reader`, which is not the owner, may read `path`.
bool ReadableByRule(absl::string_view path, DomainId reader);

// Whether `reader` may watch `path`: also the parents of what it may read, where they hold little else.
bool WatchableByRule(absl::string_view path, DomainId reader);

}  // namespace librettos::process
