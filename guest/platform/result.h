// Result of a domain-side operation: a value, or the reason why there is none.
//
// Domain code has no exceptions; every fallible call returns Status or Result<T>, both [[nodiscard]].
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

namespace librettos {

enum class Error : uint8_t {
  kOk,
  kInvalidArgument,  // The caller passed something that can never work.
  kNotFound,         // No such key, grant, port, device or file.
  kPermission,       // It exists, and is not for this domain.
  kInUse,            // Somebody else has it (port lease, address).
  kExhausted,        // A quota, table or memory is full.
  kAgain,            // Would block; try after the next event.
  kTimeout,          // The deadline passed.
  kUnavailable,      // The other side (daemon, server, NIC) is not there now; may come back.
  kProtocol,         // The peer broke the protocol.
  kIo,               // The device or the operating system refused.
  kUnsupported,      // This platform or mode cannot do it.
};

// The lower-case name of `error`, as it stands in logs and in the registry.
const char* ToString(Error error);

class [[nodiscard]] Status {
 public:
  constexpr Status() = default;
  constexpr Status(Error error) : error_(error) {}  // NOLINT: implicit on purpose
  constexpr bool ok() const { return error_ == Error::kOk; }
  constexpr Error error() const { return error_; }
  constexpr bool operator==(const Status&) const = default;

 private:
  Error error_ = Error::kOk;
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(Error error) : error_(error) {}         // NOLINT: implicit on purpose
  Result(T value) : value_(std::move(value)) {}  // NOLINT: implicit on purpose
  bool ok() const { return error_ == Error::kOk; }
  Error error() const { return error_; }
  T& value() { return *value_; }
  const T& value() const { return *value_; }
  T* operator->() { return &*value_; }
  T& operator*() { return *value_; }

 private:
  Error error_ = Error::kOk;
  std::optional<T> value_;
};

}  // namespace librettos
