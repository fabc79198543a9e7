// A call of the program into the stack, which may be turned by another CPU (guest/net/sharing.h).
#pragma once

#include "guest/net/stack.h"

namespace librettos::sockets {

enum class Effect : uint8_t { kNone, kChanges };  // kChanges: the stack may have to do something about it.

class Call {
 public:
  explicit Call(Effect effect = Effect::kChanges) : stack_(guest::Stack::instance()), effect_(effect) {
    if (stack_) stack_->sharing().Enter();
  }
  ~Call() {
    if (stack_) stack_->sharing().Leave(effect_ == Effect::kChanges);
  }
  Call(const Call&) = delete;

  guest::Stack* stack() const { return stack_; }

 private:
  guest::Stack* const stack_;
  const Effect effect_;
};

// Within a call: waits until something happened in the stack, or until `deadline`; or may return earlier.
inline void AwaitStack(guest::Stack& stack, Nanoseconds deadline, Effect effect) {
  if (!stack.sharing().shared()) return stack.Turn(deadline);
  stack.sharing().Await(deadline, effect == Effect::kChanges);
}

}  // namespace librettos::sockets
