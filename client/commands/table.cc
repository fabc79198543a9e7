#include "client/commands/table.h"

#include <algorithm>

#include "client/commands/units.h"

namespace librettos::ctl {

std::string Paint(const std::string& text, Colour colour, bool coloured) {
  if (!coloured || colour == Colour::kNone) return text;
  const char* code = colour == Colour::kGood ? "\033[32m" : colour == Colour::kBusy ? "\033[33m" : "\033[31m";
  return code + text + "\033[0m";
}

void Table::Add(std::vector<Cell> row) {
  row.resize(columns_.size(), Cell(""));
  for (Cell& cell : row) cell.text = cell.text.empty() ? "-" : Printable(cell.text);
  rows_.push_back(std::move(row));
}

void Table::Print(std::ostream& out) {
  widths_.resize(columns_.size(), 0);
  std::vector<Cell> head;
  for (size_t i = 0; i < columns_.size(); ++i) {
    head.emplace_back(columns_[i].name);
    widths_[i] = std::max(widths_[i], Width(columns_[i].name));
    for (const auto& row : rows_) widths_[i] = std::max(widths_[i], Width(row[i].text));
  }
  if (!head_printed_) PrintRow(head, out);
  head_printed_ = true;
  for (const auto& row : rows_) PrintRow(row, out);
  rows_.clear();
}

void Table::PrintRow(const std::vector<Cell>& row, std::ostream& out) const {
  std::string line;
  for (size_t i = 0; i < row.size(); ++i) {
    const std::string padding(widths_[i] - Width(row[i].text), ' ');
    const std::string text = Paint(row[i].text, row[i].colour, coloured_);
    const bool last = i + 1 == row.size();
    if (i > 0) line += "  ";
    // Nothing after the last text of a line.
    line += columns_[i].right_aligned ? padding + text : last ? text : text + padding;
  }
  out << line << '\n';
}

}  // namespace librettos::ctl
