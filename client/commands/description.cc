#include "client/commands/description.h"

#include <algorithm>

#include "client/commands/units.h"

namespace librettos::ctl {

void Description::Section(std::string title) { parts_.push_back(Part{std::move(title), {}}); }

void Description::Add(std::string key, Cell value) {
  if (value.text.empty()) return;
  value.text = Printable(value.text);
  parts_.back().entries.emplace_back(std::move(key), std::move(value));
}

void Description::AddAll(std::string key, const std::vector<std::string>& values) {
  for (const std::string& value : values) {
    Add(std::move(key), value);
    key.clear();
  }
}

void Description::Print(std::ostream& out, bool coloured) const {
  // One column of values for the whole of it: keys of sections are indented by two.
  size_t width = 0;
  for (const Part& part : parts_) {
    for (const auto& [key, value] : part.entries) {
      width = std::max(width, Width(key) + (part.title.empty() ? 0 : 2));
    }
  }
  for (const Part& part : parts_) {
    if (part.entries.empty()) continue;
    if (!part.title.empty()) out << '\n' << part.title << '\n';
    for (const auto& [key, value] : part.entries) {
      const std::string lead = (part.title.empty() ? "" : "  ") + key + (key.empty() ? "" : ":");
      out << lead << std::string(width + 3 - Width(lead), ' ') << Paint(value.text, value.colour, coloured)
          << '\n';
    }
  }
}

}  // namespace librettos::ctl
