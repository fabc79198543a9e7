#include "guest/platform/result.h"

namespace librettos {

const char* ToString(Error error) {
  switch (error) {
    case Error::kOk:
      return "ok";
    case Error::kInvalidArgument:
      return "invalid-argument";
    case Error::kNotFound:
      return "not-found";
    case Error::kPermission:
      return "permission";
    case Error::kInUse:
      return "in-use";
    case Error::kExhausted:
      return "exhausted";
    case Error::kAgain:
      return "again";
    case Error::kTimeout:
      return "timeout";
    case Error::kUnavailable:
      return "unavailable";
    case Error::kProtocol:
      return "protocol";
    case Error::kIo:
      return "io";
    case Error::kUnsupported:
      return "unsupported";
  }
  return "unknown";
}

}  // namespace librettos
