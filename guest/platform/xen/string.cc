// The part of <string.h> that domain code and the compiler use. Compiled so that no loop becomes a call of
// itself.
#include <string.h>

#include <cstdint>

extern "C" {

void* memcpy(void* __restrict to, const void* __restrict from, size_t bytes) noexcept {
  void* result = to;
  asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes)::"memory");
  return result;
}

void* memmove(void* to, const void* from, size_t bytes) noexcept {
  auto* target = static_cast<unsigned char*>(to);
  const auto* source = static_cast<const unsigned char*>(from);
  // Also true where the target is before the source: then bytes are read before they are written.
  if (reinterpret_cast<uintptr_t>(to) - reinterpret_cast<uintptr_t>(from) >= bytes)
    return memcpy(to, from, bytes);
  for (; bytes >= 8; bytes -= 8) {
    uint64_t word;
    __builtin_memcpy(&word, source + bytes - 8, 8);
    __builtin_memcpy(target + bytes - 8, &word, 8);
  }
  while (bytes-- > 0) target[bytes] = source[bytes];
  return to;
}

void* memset(void* at, int value, size_t bytes) noexcept {
  void* result = at;
  asm volatile("rep stosb" : "+D"(at), "+c"(bytes) : "a"(value) : "memory");
  return result;
}

int memcmp(const void* a, const void* b, size_t bytes) noexcept {
  const auto* x = static_cast<const unsigned char*>(a);
  const auto* y = static_cast<const unsigned char*>(b);
  for (; bytes >= 8; bytes -= 8, x += 8, y += 8) {
    uint64_t left, right;
    __builtin_memcpy(&left, x, 8);
    __builtin_memcpy(&right, y, 8);
    if (left == right) continue;
    return __builtin_bswap64(left) < __builtin_bswap64(right) ? -1 : 1;
  }
  for (; bytes > 0; --bytes, ++x, ++y) {
    if (*x != *y) return *x - *y;
  }
  return 0;
}

size_t strlen(const char* text) noexcept {
  size_t length = 0;
  while (text[length] != '\0') ++length;
  return length;
}

size_t strnlen(const char* text, size_t most) noexcept {
  size_t length = 0;
  while (length < most && text[length] != '\0') ++length;
  return length;
}

int strncmp(const char* a, const char* b, size_t most) noexcept {
  for (; most > 0; --most, ++a, ++b) {
    if (*a != *b || *a == '\0') return static_cast<unsigned char>(*a) - static_cast<unsigned char>(*b);
  }
  return 0;
}

int strcmp(const char* a, const char* b) noexcept { return strncmp(a, b, ~size_t{0}); }

}  // extern "C"

// Not in the block above: <string.h> overloads it for C++, under the one name.
const void* memchr(const void* at, int value, size_t bytes) noexcept {
  for (const auto* p = static_cast<const unsigned char*>(at); bytes > 0; --bytes, ++p) {
    if (*p == static_cast<unsigned char>(value)) return p;
  }
  return nullptr;
}
