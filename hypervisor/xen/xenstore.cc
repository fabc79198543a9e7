#include "hypervisor/xen/xenstore.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace librettos::xen {
namespace {

// Of a transaction that others interfere with, which a domain could do on purpose.
constexpr int kMaxAttempts = 20;

absl::Status Failure(absl::string_view what, absl::string_view path) {
  return absl::UnavailableError(absl::StrCat("xenstore: cannot ", what, " ", path, ": ", strerror(errno)));
}

}  // namespace

std::vector<xs_permissions> WithReader(const std::vector<xs_permissions>& present, DomainId owner,
                                       DomainId reader) {
  std::vector<xs_permissions> wanted = {{.id = owner, .perms = XS_PERM_NONE}};
  // Only what an earlier call put there: what a new key inherits is for its parent's readers.
  if (!present.empty() && present[0].id == owner) {
    for (size_t i = 1; i < present.size(); ++i) {
      if (present[i].id != reader) wanted.push_back({.id = present[i].id, .perms = XS_PERM_READ});
    }
  }
  wanted.push_back({.id = reader, .perms = XS_PERM_READ});
  return wanted;
}

bool SamePermissions(const std::vector<xs_permissions>& a, const std::vector<xs_permissions>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].id != b[i].id || a[i].perms != b[i].perms) return false;
  }
  return true;
}

std::optional<DomainId> OwnerOf(absl::string_view path) {
  DomainId id;
  if (!absl::ConsumePrefix(&path, "/local/domain/")) return std::nullopt;
  const absl::string_view text = path.substr(0, path.find('/'));
  if (!absl::SimpleAtoi(text, &id) || absl::StrCat(id) != text) return std::nullopt;
  return id;
}

absl::StatusOr<std::unique_ptr<Xenstore>> Xenstore::Create() {
  xs_handle* handle = xs_open(0);
  if (handle == nullptr) {
    return absl::UnavailableError(
        absl::StrCat("xenstored cannot be reached: ", strerror(errno), "; does xen.service run?"));
  }
  return std::unique_ptr<Xenstore>(new Xenstore(handle));
}

Xenstore::~Xenstore() { xs_close(handle_); }

absl::Status Xenstore::Write(absl::string_view path, absl::string_view value) {
  if (xs_write(handle_, XBT_NULL, std::string(path).c_str(), value.data(),
               static_cast<unsigned>(value.size()))) {
    return absl::OkStatus();
  }
  return Failure("write", path);
}

absl::Status Xenstore::SetPermissions(absl::string_view path, DomainId owner,
                                      std::optional<DomainId> reader) {
  const std::string key(path);
  // Made and given away in one step: nobody finds the key with other permissions.
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    const xs_transaction_t transaction = xs_transaction_start(handle_);
    if (transaction == XBT_NULL) return Failure("change", path);
    std::vector<xs_permissions> present;
    unsigned count = 0;
    if (xs_permissions* found = xs_get_permissions(handle_, transaction, key.c_str(), &count)) {
      present.assign(found, found + count);
      free(found);
    }
    const std::vector<xs_permissions> wanted =
        reader.has_value() ? WithReader(present, owner, *reader)
                           : std::vector<xs_permissions>{{.id = owner, .perms = XS_PERM_NONE}};
    if (SamePermissions(present, wanted)) {
      xs_transaction_end(handle_, transaction, true);
      return absl::OkStatus();
    }
    std::vector<xs_permissions> set = wanted;
    if (!xs_mkdir(handle_, transaction, key.c_str()) ||
        !xs_set_permissions(handle_, transaction, key.c_str(), set.data(),
                            static_cast<unsigned>(set.size()))) {
      const absl::Status failure = Failure("give away", path);
      xs_transaction_end(handle_, transaction, true);
      return failure;
    }
    if (xs_transaction_end(handle_, transaction, false)) return absl::OkStatus();
    if (errno != EAGAIN) return Failure("give away", path);
  }
  return absl::UnavailableError(absl::StrCat("xenstore: ", path, " is changed by others all the time"));
}

absl::Status Xenstore::AllowRead(absl::string_view path, DomainId reader) {
  const std::optional<DomainId> owner = OwnerOf(path);
  if (!owner.has_value()) return absl::InvalidArgumentError(absl::StrCat(path, " is in no domain's subtree"));
  return SetPermissions(path, *owner, reader);
}

absl::Status Xenstore::Hide(absl::string_view path) { return SetPermissions(path, 0, std::nullopt); }

absl::StatusOr<std::string> Xenstore::Read(absl::string_view path) {
  unsigned length = 0;
  void* value = xs_read(handle_, XBT_NULL, std::string(path).c_str(), &length);
  if (value == nullptr) {
    if (errno == ENOENT) return absl::NotFoundError(absl::StrCat("there is no key ", path));
    return Failure("read", path);
  }
  std::string text(static_cast<char*>(value), length);
  free(value);
  if (text.empty()) return absl::NotFoundError(absl::StrCat("there is no key ", path));
  return text;
}

std::vector<std::string> Xenstore::List(absl::string_view path) {
  unsigned count = 0;
  char** names = xs_directory(handle_, XBT_NULL, std::string(path).c_str(), &count);
  if (names == nullptr) return {};
  std::vector<std::string> list(names, names + count);
  free(names);
  return list;
}

void Xenstore::Remove(absl::string_view path) { xs_rm(handle_, XBT_NULL, std::string(path).c_str()); }

absl::Status Xenstore::Watch(absl::string_view path) {
  const std::string key(path);
  return xs_watch(handle_, key.c_str(), key.c_str()) ? absl::OkStatus() : Failure("watch", path);
}

void Xenstore::Unwatch(absl::string_view path) {
  const std::string key(path);
  xs_unwatch(handle_, key.c_str(), key.c_str());
}

std::optional<Xenstore::Event> Xenstore::NextEvent() {
  char** event = xs_check_watch(handle_);
  if (event == nullptr) return std::nullopt;
  Event result{.path = event[XS_WATCH_PATH], .watch = event[XS_WATCH_TOKEN]};
  free(event);
  return result;
}

}  // namespace librettos::xen
