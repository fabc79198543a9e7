// How operations are shown.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "client/commands/units.h"
#include "client/commands/view.h"

namespace librettos::ctl {

template <>
struct View<v1::Operation> {
  static constexpr char kCollection[] = "operations";
  using List = v1::ListOperationsResponse;
  static auto* Items(List& list) { return list.mutable_operations(); }
  static const v1::Operation* Of(const v1::WatchResponse& c) {
    return c.has_operation() ? &c.operation() : nullptr;
  }

  static Cell State(const v1::Operation& operation) {
    const auto state = operation.state();
    return Cell(EnumText(state), state == v1::Operation::SUCCEEDED ? Colour::kGood
                                 : state == v1::Operation::FAILED  ? Colour::kBad
                                                                   : Colour::kBusy);
  }
  static std::string Took(const v1::Operation& operation, absl::Time now) {
    if (!operation.has_create_time()) return "";
    const absl::Time end = operation.has_end_time() ? FromProto(operation.end_time()) : now;
    return Time(std::max(absl::ZeroDuration(), end - FromProto(operation.create_time())));
  }

  static std::vector<Table::Column> Columns(bool wide) {
    std::vector<Table::Column> columns = {"NAME",         "KIND",          "TARGET",     "STATE",
                                          {"TOOK", true}, {"PAUSE", true}, {"AGE", true}};
    if (wide) columns.push_back("MESSAGE");
    return columns;
  }
  static std::vector<Cell> Row(const v1::Operation& operation, bool wide, absl::Time now) {
    std::vector<Cell> row = {operation.name(),
                             EnumText(operation.kind()),
                             operation.target(),
                             State(operation),
                             Took(operation, now),
                             operation.has_pause() ? Time(FromProto(operation.pause())) : "",
                             Age(operation.create_time(), now)};
    if (wide) row.push_back(operation.message());
    return row;
  }
  static void Describe(const v1::Operation& operation, absl::Time now, Description& d) {
    d.Add("Name", operation.name());
    d.Add("Kind", EnumText(operation.kind()));
    d.Add("Target", operation.target());
    d.Add("State", State(operation));
    d.Add("Message", operation.message());
    d.Add("Started", When(operation.create_time()));
    d.Add("Took", Took(operation, now));
    if (operation.has_pause()) d.Add("Frames held back for", Time(FromProto(operation.pause())));
  }
};

}  // namespace librettos::ctl
