#include "drivers/net/gather.h"

#include <string.h>

#include <algorithm>

namespace librettos {

bool Gather::IsWhole(const OutFrame& frame) {
  uint64_t length = 0;
  for (const Part& part : frame.parts) length += part.length;
  return length == frame.length && length >= kEthernetHeaderBytes && length <= kMaxFrameBytes;
}

bool Gather::Copy(std::byte* to, size_t bytes) {
  while (bytes > 0) {
    if (parts_.empty()) return false;
    const Part& part = parts_.front();
    const size_t some = std::min<size_t>(bytes, part.length - offset_);
    memcpy(to, part.data + offset_, some);
    to += some;
    bytes -= some;
    offset_ += static_cast<uint32_t>(some);
    if (offset_ == part.length) {
      parts_ = parts_.subspan(1);
      offset_ = 0;
    }
  }
  return true;
}

}  // namespace librettos
