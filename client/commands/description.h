// What `describe` prints: sections of keys and values.
#pragma once

#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "client/commands/table.h"

namespace librettos::ctl {

class Description {
 public:
  // Starts a section. The first one needs none.
  void Section(std::string title);
  // An empty value is left out; further lines of one key: Add("", value).
  void Add(std::string key, Cell value);
  // All values below each other under one key; nothing if there are none.
  void AddAll(std::string key, const std::vector<std::string>& values);

  void Print(std::ostream& out, bool coloured) const;

 private:
  struct Part {
    std::string title;
    std::vector<std::pair<std::string, Cell>> entries;
  };
  std::vector<Part> parts_{Part{}};
};

}  // namespace librettos::ctl
