// A bounded table of connections for a server's epoll loop.
//
// Each connection has a key that is not used again soon after it is gone, so that an event which is delivered
// late finds nothing rather than a stranger. Objects are allocated as connections come.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>

namespace librettos::apps {

template <class T, uint32_t kCapacity>
class Slots {
 public:
  Slots() {
    for (uint32_t i = 0; i < kCapacity; ++i) free_[i] = kCapacity - 1 - i;
  }

  bool full() const { return used_ == kCapacity; }
  uint32_t used() const { return used_; }

  // A new T made of `args`; nullptr if the table or memory is full.
  template <class... Args>
  T* Add(uint64_t* key, Args&&... args) {
    if (full()) return nullptr;
    const uint32_t index = free_[kCapacity - 1 - used_];
    Slot& slot = slots_[index];
    slot.object.reset(new (std::nothrow) T(std::forward<Args>(args)...));
    if (slot.object == nullptr) return nullptr;
    ++used_;
    *key = Key(index);
    return slot.object.get();
  }

  // nullptr: gone.
  T* Find(uint64_t key) {
    const auto index = static_cast<uint32_t>(key);
    if (index >= kCapacity || slots_[index].object == nullptr || Key(index) != key) return nullptr;
    return slots_[index].object.get();
  }

  void Remove(uint64_t key) {
    if (Find(key) == nullptr) return;
    Slot& slot = slots_[static_cast<uint32_t>(key)];
    slot.object.reset();
    // Never all ones: keys from kNotSlot on are the caller's.
    slot.generation = (slot.generation + 1) & 0x7fffffff;
    --used_;
    free_[kCapacity - 1 - used_] = static_cast<uint32_t>(key);
  }

  // Calls visit(key, T&) for each; it may Remove the one it is called for.
  template <class Visit>
  void ForEach(Visit visit) {
    for (uint32_t i = 0; i < kCapacity; ++i) {
      if (slots_[i].object != nullptr) visit(Key(i), *slots_[i].object);
    }
  }

  static constexpr uint64_t kNotSlot = uint64_t{1} << 63;

 private:
  struct Slot {
    std::unique_ptr<T> object;
    uint32_t generation = 0;
  };
  uint64_t Key(uint32_t index) const { return uint64_t{slots_[index].generation} << 32 | index; }

  Slot slots_[kCapacity];
  uint32_t free_[kCapacity];  // The first kCapacity - used_ are free indices, the lowest last.
  uint32_t used_ = 0;
};

}  // namespace librettos::apps
