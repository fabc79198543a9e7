#include "guest/apps/pacer.h"

namespace librettos::apps {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

// a * b / c without losing the upper half of the product.
uint64_t MultiplyDivide(uint64_t a, uint64_t b, uint64_t c) {
  return static_cast<uint64_t>(static_cast<unsigned __int128>(a) * b / c);
}

}  // namespace

uint64_t Pacer::Next() const {
  return start_ +
         static_cast<uint64_t>((static_cast<unsigned __int128>(sent_) * kSecond + rate_ - 1) / rate_);
}

uint64_t Pacer::Due(uint64_t now) {
  if (now < Next()) return 0;
  if (now - Next() > kMaxBehind) {
    start_ = now;
    sent_ = 0;
  }
  return MultiplyDivide(now - start_, rate_, kSecond) + 1 - sent_;
}

}  // namespace librettos::apps
