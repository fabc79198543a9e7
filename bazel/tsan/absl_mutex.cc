// Tells ThreadSanitizer what Debian's abseil, which was not built with it, does: that a lock orders those who
// take it. Linked into tests by --config=tsan (bazel/tsan.bzl), where these functions come before those of
// the shared library.
//
// Only the functions that are used here: with another one, reports of races on what its mutex guards would
// come.
#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

#include <cstdio>
#include <cstdlib>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"

extern "C" void AnnotateIgnoreReadsBegin(const char* file, int line);
extern "C" void AnnotateIgnoreReadsEnd(const char* file, int line);

namespace {

// A member function of the shared library, called with the object first as the ABI has it.
template <class Result, class... Arguments>
Result CallNext(const char* symbol, Arguments... arguments) {
  void* next = dlsym(RTLD_NEXT, symbol);
  if (next == nullptr) {
    std::fprintf(stderr, "tsan: abseil has no %s\n", symbol);
    std::abort();
  }
  return reinterpret_cast<Result (*)(Arguments...)>(next)(arguments...);
}

// Whoever releases a mutex evaluates the conditions that others wait for, still under the lock but after what
// is said below.
struct IgnoreReads {
  IgnoreReads() { AnnotateIgnoreReadsBegin(__FILE__, __LINE__); }
  ~IgnoreReads() { AnnotateIgnoreReadsEnd(__FILE__, __LINE__); }
};

struct Wait {
  explicit Wait(void* mutex) : mutex(mutex) { __tsan_release(mutex); }
  ~Wait() { __tsan_acquire(mutex); }
  void* const mutex;
  IgnoreReads ignore;
};

}  // namespace

#define SYMBOL(rest) "_ZN4absl7debian3" rest
#define CONST_SYMBOL(rest) "_ZNK4absl7debian3" rest

namespace absl {
ABSL_NAMESPACE_BEGIN

void Mutex::Lock() {
  CallNext<void>(SYMBOL("5Mutex4LockEv"), this);
  __tsan_acquire(this);
}
void Mutex::Unlock() {
  __tsan_release(this);
  IgnoreReads ignore;
  CallNext<void>(SYMBOL("5Mutex6UnlockEv"), this);
}
bool Mutex::TryLock() {
  const bool locked = CallNext<bool>(SYMBOL("5Mutex7TryLockEv"), this);
  if (locked) __tsan_acquire(this);
  return locked;
}
void Mutex::ReaderLock() {
  CallNext<void>(SYMBOL("5Mutex10ReaderLockEv"), this);
  __tsan_acquire(this);
}
void Mutex::ReaderUnlock() {
  __tsan_release(this);
  IgnoreReads ignore;
  CallNext<void>(SYMBOL("5Mutex12ReaderUnlockEv"), this);
}
void Mutex::Await(const Condition& condition) {
  Wait wait(this);
  CallNext<void>(SYMBOL("5Mutex5AwaitERKNS0_9ConditionE"), this, &condition);
}
bool Mutex::AwaitWithTimeout(const Condition& condition, Duration timeout) {
  Wait wait(this);
  return CallNext<bool>(SYMBOL("5Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE"), this, &condition,
                        timeout);
}
bool Mutex::AwaitWithDeadline(const Condition& condition, Time deadline) {
  Wait wait(this);
  return CallNext<bool>(SYMBOL("5Mutex17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE"), this, &condition,
                        deadline);
}
void CondVar::Wait(Mutex* mutex) {
  ::Wait wait(mutex);
  CallNext<void>(SYMBOL("7CondVar4WaitEPNS0_5MutexE"), this, mutex);
}
bool CondVar::WaitWithTimeout(Mutex* mutex, Duration timeout) {
  ::Wait wait(mutex);
  return CallNext<bool>(SYMBOL("7CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE"), this, mutex, timeout);
}
bool CondVar::WaitWithDeadline(Mutex* mutex, Time deadline) {
  ::Wait wait(mutex);
  return CallNext<bool>(SYMBOL("7CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE"), this, mutex, deadline);
}

void Notification::Notify() {
  __tsan_release(this);
  CallNext<void>(SYMBOL("12Notification6NotifyEv"), this);
}
void Notification::WaitForNotification() const {
  CallNext<void>(CONST_SYMBOL("12Notification19WaitForNotificationEv"), this);
  __tsan_acquire(const_cast<Notification*>(this));
}
bool Notification::WaitForNotificationWithTimeout(Duration timeout) const {
  const bool notified = CallNext<bool>(
      CONST_SYMBOL("12Notification30WaitForNotificationWithTimeoutENS0_8DurationE"), this, timeout);
  if (notified) __tsan_acquire(const_cast<Notification*>(this));
  return notified;
}

ABSL_NAMESPACE_END
}  // namespace absl
