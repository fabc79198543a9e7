// Tables with aligned columns. Rows can be added after the head was printed (for --watch).
#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace librettos::ctl {

enum class Colour { kNone, kGood, kBusy, kBad };

struct Cell {
  Cell(std::string t, Colour c = Colour::kNone) : text(std::move(t)), colour(c) {}  // NOLINT: texts are cells
  Cell(const char* t) : text(t) {}                                                  // NOLINT
  std::string text;                                                                 // Empty is shown as "-".
  Colour colour = Colour::kNone;
};

// `text` (already printable) for a terminal, if `coloured`.
std::string Paint(const std::string& text, Colour colour, bool coloured);

class Table {
 public:
  struct Column {
    Column(std::string n, bool right = false) : name(std::move(n)), right_aligned(right) {}  // NOLINT
    Column(const char* n, bool right = false) : name(n), right_aligned(right) {}             // NOLINT
    std::string name;                                                                        // Upper case.
    bool right_aligned;
  };

  Table(std::vector<Column> columns, bool coloured) : columns_(std::move(columns)), coloured_(coloured) {}

  // As many cells as columns. Texts are made printable.
  void Add(std::vector<Cell> row);

  // Prints the head, if not done before, and all rows added since the last time. Columns never get narrower.
  void Print(std::ostream& out);

  // Rows not printed yet.
  bool empty() const { return rows_.empty(); }

 private:
  void PrintRow(const std::vector<Cell>& row, std::ostream& out) const;

  std::vector<Column> columns_;
  bool coloured_;
  bool head_printed_ = false;
  std::vector<size_t> widths_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace librettos::ctl
