// Command lines of the built-in programs: positional words, flags, and options with a value.
//
//   --port 80, --port=80, -p 80; a lone "-" and negative numbers are words.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "guest/apps/text.h"

namespace librettos::apps {

// What a program accepts. `name` is with its dashes. `target` of a value receives text; of a flag, kSet.
struct OptionSpec {
  std::string_view name;
  std::string_view alias;  // A second spelling, or empty.
  bool takes_value;
  std::string_view* target;
};

inline constexpr std::string_view kSet = "1";

// Takes `arguments` apart. Options without a target value are left as they were. False: `error` says what is
// wrong.
bool ParseOptions(std::span<const std::string_view> arguments, std::span<const OptionSpec> specs,
                  std::span<std::string_view> words, size_t* word_count, Text& error);

// A whole decimal number within [low, high]. False: `error` says what is wrong with the option `name`.
bool ParseNumber(std::string_view name, std::string_view text, uint64_t low, uint64_t high, uint64_t* value,
                 Text& error);

// Bits per second, packets or bytes with an optional decimal suffix k, m or g (either case), e.g. "10m".
bool ParseScaled(std::string_view name, std::string_view text, uint64_t low, uint64_t high, uint64_t* value,
                 Text& error);

}  // namespace librettos::apps
