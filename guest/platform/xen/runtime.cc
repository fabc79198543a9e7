// What compiled code calls by itself when something of ours is broken.
#include <cstdint>

#include "guest/platform/platform.h"

using librettos::Panic;

extern "C" {

// Set by boot.S.
uintptr_t __stack_chk_guard = 0;

[[noreturn]] void __stack_chk_fail() { Panic("stack overrun: a function's canary is overwritten"); }
[[noreturn]] void __cxa_pure_virtual() { Panic("pure virtual call"); }
[[noreturn]] void abort() noexcept { Panic("abort"); }

[[noreturn]] void __assert_fail(const char* assertion, const char* file, unsigned, const char*) noexcept {
  librettos::Log(file);
  Panic(assertion);
}

}  // extern "C"

// libstdc++'s reports of misuse, which header-only code calls.
namespace std {
[[noreturn]] void __throw_out_of_range_fmt(const char* text, ...) { Panic(text); }
[[noreturn]] void __throw_length_error(const char* text) { Panic(text); }
[[noreturn]] void __throw_logic_error(const char* text) { Panic(text); }
[[noreturn]] void __throw_bad_alloc() { Panic("out of memory"); }
[[noreturn]] void __throw_bad_array_new_length() { Panic("array too long"); }
[[noreturn]] void __throw_bad_function_call() { Panic("empty function called"); }
}  // namespace std
