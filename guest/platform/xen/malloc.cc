#include "guest/platform/xen/malloc.h"

#include <stdlib.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "guest/platform/platform.h"
#include "guest/platform/xen/heap.h"
#include "guest/platform/xen/memory.h"
#include "guest/platform/xen/spin_lock.h"

namespace librettos::xen {
namespace {

constinit SpinLock lock;
// Made by InitMalloc, before static constructors may use it.
alignas(Heap) constinit std::byte storage[sizeof(Heap)] = {};
constinit Heap* heap = nullptr;

void* Allocate(size_t bytes, size_t alignment) {
  SpinLockHolder holder(lock);
  return heap->Allocate(bytes, alignment);
}

void Free(void* object) {
  SpinLockHolder holder(lock);
  heap->Free(object);
}

void* AllocateOrEnd(size_t bytes, size_t alignment) {
  void* object = Allocate(bytes, alignment);
  if (!object) Panic("out of memory");
  return object;
}

}  // namespace

void InitMalloc() {
  uint64_t secret;
  Random(std::as_writable_bytes(std::span(&secret, 1)));
  heap = new (storage) Heap({[](size_t pages) { return AllocatePages(pages, false); },
                             [](void* begin, size_t pages) { FreePages(begin, pages); }},
                            secret);
}

size_t HeapPageCount() {
  SpinLockHolder holder(lock);
  return heap->pages();
}

}  // namespace librettos::xen

using librettos::xen::Allocate;
using librettos::xen::AllocateOrEnd;
using librettos::xen::Free;

extern "C" {

void* malloc(size_t bytes) noexcept { return Allocate(bytes, 16); }
void free(void* object) noexcept { Free(object); }

void* calloc(size_t count, size_t size) noexcept {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) return nullptr;
  void* object = Allocate(bytes, 16);
  if (object) memset(object, 0, bytes);
  return object;
}

void* realloc(void* object, size_t bytes) noexcept {
  if (!object) return malloc(bytes);
  size_t held;
  {
    librettos::xen::SpinLockHolder holder(librettos::xen::lock);
    held = librettos::xen::heap->SizeOf(object);
  }
  if (bytes <= held && bytes >= held / 2) return object;
  void* larger = malloc(bytes);
  if (!larger) return bytes <= held ? object : nullptr;
  memcpy(larger, object, std::min(held, bytes));
  free(object);
  return larger;
}

void* aligned_alloc(size_t alignment, size_t bytes) noexcept { return Allocate(bytes, alignment); }

}  // extern "C"

namespace std {
const nothrow_t nothrow{};
}

void* operator new(size_t bytes) { return AllocateOrEnd(bytes, 16); }
void* operator new[](size_t bytes) { return AllocateOrEnd(bytes, 16); }
void* operator new(size_t bytes, std::align_val_t a) { return AllocateOrEnd(bytes, static_cast<size_t>(a)); }
void* operator new[](size_t bytes, std::align_val_t a) {
  return AllocateOrEnd(bytes, static_cast<size_t>(a));
}
void* operator new(size_t bytes, const std::nothrow_t&) noexcept { return Allocate(bytes, 16); }
void* operator new[](size_t bytes, const std::nothrow_t&) noexcept { return Allocate(bytes, 16); }
void* operator new(size_t bytes, std::align_val_t a, const std::nothrow_t&) noexcept {
  return Allocate(bytes, static_cast<size_t>(a));
}
void* operator new[](size_t bytes, std::align_val_t a, const std::nothrow_t&) noexcept {
  return Allocate(bytes, static_cast<size_t>(a));
}
void operator delete(void* object) noexcept { Free(object); }
void operator delete[](void* object) noexcept { Free(object); }
void operator delete(void* object, size_t) noexcept { Free(object); }
void operator delete[](void* object, size_t) noexcept { Free(object); }
void operator delete(void* object, std::align_val_t) noexcept { Free(object); }
void operator delete[](void* object, std::align_val_t) noexcept { Free(object); }
void operator delete(void* object, size_t, std::align_val_t) noexcept { Free(object); }
void operator delete[](void* object, size_t, std::align_val_t) noexcept { Free(object); }
void operator delete(void* object, const std::nothrow_t&) noexcept { Free(object); }
void operator delete[](void* object, const std::nothrow_t&) noexcept { Free(object); }
