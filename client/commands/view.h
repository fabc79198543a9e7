// How each kind of resource is shown, and what all kinds have in common: list, list --watch, describe.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/commands/context.h"
#include "client/commands/description.h"
#include "client/commands/table.h"
#include "client/monotonic.h"
#include "google/protobuf/generated_enum_reflection.h"

namespace librettos::ctl {

// Specialised for each kind of resource in that kind's file:
//   kCollection            "guests"
//   List, Items(List&)     the API's answer with many of them, and its repeated field
//   Columns(wide), Row(resource, wide, now), Describe(resource, now, description)
//   Of(change)             the resource in a WatchResponse, or null (kinds that can be watched)
template <typename Resource>
struct View;

// "RUNNING"; "-" for the unspecified 0; the number for one that this program does not know.
template <typename Enum>
std::string EnumText(Enum value) {
  if (static_cast<int>(value) == 0) return "-";
  const auto* entry = google::protobuf::GetEnumDescriptor<Enum>()->FindValueByNumber(value);
  return entry == nullptr ? absl::StrCat(static_cast<int>(value)) : entry->name();
}

template <typename Resource>
absl::Status PrintList(Context& context, std::vector<Resource> resources) {
  if (context.output == Output::kJson) {
    typename View<Resource>::List list;
    for (Resource& resource : resources) *View<Resource>::Items(list)->Add() = std::move(resource);
    return context.PrintJson(list);
  }
  if (context.output == Output::kName) {
    for (const Resource& resource : resources) context.io.out << resource.name() << '\n';
    return absl::OkStatus();
  }
  if (resources.empty()) {
    context.io.err << "No " << View<Resource>::kCollection << ".\n";
    return absl::OkStatus();
  }
  Table table(View<Resource>::Columns(context.wide()), context.io.coloured);
  for (const Resource& resource : resources) {
    table.Add(View<Resource>::Row(resource, context.wide(), absl::Now()));
  }
  table.Print(context.io.out);
  return absl::OkStatus();
}

template <typename Resource>
absl::Status PrintOne(Context& context, const Resource& resource) {
  switch (context.output) {
    case Output::kJson:
      return context.PrintJson(resource);
    case Output::kName:
      context.io.out << resource.name() << '\n';
      return absl::OkStatus();
    case Output::kTable:
    case Output::kWide:
      Description description;
      View<Resource>::Describe(resource, absl::Now(), description);
      description.Print(context.io.out, context.io.coloured);
  }
  return absl::OkStatus();
}

// After a change: the resource (JSON), its name, or `sentence`.
template <typename Resource>
absl::Status PrintChanged(Context& context, const Resource& resource, const std::string& sentence) {
  if (context.output == Output::kJson || context.output == Output::kName) return PrintOne(context, resource);
  context.io.out << sentence << '\n';
  return absl::OkStatus();
}

// After a deletion.
inline absl::Status PrintDeleted(Context& context, const std::string& name) {
  if (context.output == Output::kJson) {
    context.io.out << "{}\n";
  } else {
    context.io.out << name << (context.output == Output::kName ? "\n" : " deleted\n");
  }
  return absl::OkStatus();
}

// The present state as a table, then a row for each change; in JSON one line for each. Ends with the time
// given, OK. Goes on through restarts of the daemon.
template <typename Resource>
absl::Status WatchList(Context& context) {
  absl::StatusOr<Client*> daemon = context.Daemon();
  if (!daemon.ok()) return daemon.status();
  v1::WatchRequest request;
  request.add_collections(View<Resource>::kCollection);

  Table table(View<Resource>::Columns(context.wide()), context.io.coloured);
  bool synced = false;
  absl::Status printed;
  const auto show = [&](const v1::WatchResponse& change) {
    if (context.output == Output::kJson) {
      printed = context.PrintJson(change, true);
    } else if (const Resource* resource = View<Resource>::Of(change)) {
      if (context.output == Output::kName) {
        context.io.out << resource->name() << '\n';
      } else {
        table.Add(View<Resource>::Row(*resource, context.wide(), absl::Now()));
      }
    } else if (change.has_deleted() && context.output != Output::kName) {
      table.Add({Cell(change.deleted()), Cell("DELETED", Colour::kBad)});
    }
    synced = synced || change.synced();
    // At first all at once, so that the columns fit all of it.
    if (synced && (change.synced() || !table.empty()) && context.output != Output::kJson &&
        context.output != Output::kName) {
      table.Print(context.io.out);
    }
    context.io.out.flush();
    return printed.ok() && context.io.out.good();
  };
  const absl::Duration end = Monotonic() + context.WaitTime(absl::InfiniteDuration());
  bool told = false;
  while (true) {
    const absl::Status status = (*daemon)->RunWatch(request, end - Monotonic(), [&](const auto& change) {
      told = false;
      return show(change);
    });
    if (status.ok()) return printed;
    if (absl::IsDeadlineExceeded(status)) return absl::OkStatus();
    if (!absl::IsUnavailable(status) || !synced) return status;
    if (!told) context.io.err << "librettosctl: the daemon went away; waiting for it\n";
    told = true;
    absl::SleepFor(std::min(absl::Milliseconds(200), end - Monotonic()));
  }
}

}  // namespace librettos::ctl
