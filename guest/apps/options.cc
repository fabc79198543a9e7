#include "guest/apps/options.h"

#include <charconv>

namespace librettos::apps {
namespace {

bool IsOption(std::string_view word) {
  return word.size() >= 2 && word[0] == '-' && !(word[1] >= '0' && word[1] <= '9');
}

bool OutOfRange(std::string_view name, std::string_view text, uint64_t low, uint64_t high, Text& error) {
  error.Add(name)
      .Add(" is '")
      .Add(text)
      .Add("', must be a whole number from ")
      .AddNumber(low)
      .Add(" to ")
      .AddNumber(high);
  return false;
}

}  // namespace

bool ParseOptions(std::span<const std::string_view> arguments, std::span<const OptionSpec> specs,
                  std::span<std::string_view> words, size_t* word_count, Text& error) {
  *word_count = 0;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view word = arguments[i];
    if (!IsOption(word)) {
      if (*word_count == words.size()) {
        error.Add("'").Add(word).Add("' is one word too many");
        return false;
      }
      words[(*word_count)++] = word;
      continue;
    }
    std::string_view name = word, value;
    bool joined = false;
    if (const size_t equals = word.find('='); equals != word.npos) {
      name = word.substr(0, equals);
      value = word.substr(equals + 1);
      joined = true;
    }
    const OptionSpec* spec = nullptr;
    for (const OptionSpec& candidate : specs) {
      if (candidate.name == name || (!candidate.alias.empty() && candidate.alias == name)) spec = &candidate;
    }
    if (spec == nullptr) {
      error.Add("unknown option '").Add(name).Add("'");
      return false;
    }
    if (!spec->takes_value) {
      if (joined) {
        error.Add(name).Add(" takes no value");
        return false;
      }
      *spec->target = kSet;
      continue;
    }
    if (!joined) {
      if (i + 1 == arguments.size()) {
        error.Add(name).Add(" needs a value");
        return false;
      }
      value = arguments[++i];
    }
    *spec->target = value;
  }
  return true;
}

bool ParseNumber(std::string_view name, std::string_view text, uint64_t low, uint64_t high, uint64_t* value,
                 Text& error) {
  uint64_t number = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size() || number < low || number > high) {
    return OutOfRange(name, text, low, high, error);
  }
  *value = number;
  return true;
}

bool ParseScaled(std::string_view name, std::string_view text, uint64_t low, uint64_t high, uint64_t* value,
                 Text& error) {
  uint64_t scale = 1;
  std::string_view digits = text;
  if (!text.empty()) {
    const char suffix = static_cast<char>(text.back() | 0x20);
    if (suffix == 'k') scale = 1'000;
    if (suffix == 'm') scale = 1'000'000;
    if (suffix == 'g') scale = 1'000'000'000;
    if (scale != 1) digits.remove_suffix(1);
  }
  uint64_t number = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (result.ec != std::errc() || result.ptr != digits.data() + digits.size() || number > high / scale ||
      number * scale < low) {
    return OutOfRange(name, text, low, high, error);
  }
  *value = number * scale;
  return true;
}

}  // namespace librettos::apps
