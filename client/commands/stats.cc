// librettosctl stats
#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "client/commands/flags.h"
#include "client/commands/nouns.h"
#include "client/commands/rates.h"
#include "client/commands/table.h"
#include "client/commands/units.h"
#include "client/monotonic.h"
#include "client/names.h"

namespace librettos::ctl {
namespace {

// A row's resource and, in a server's row about one guest, that guest.
using Key = std::pair<std::string, std::string>;
using Rows = std::map<Key, v1::ResourceStatistics>;

// What the daemon keeps; no frames pass it.
constexpr char kDaemon[] = "daemon";

Cell Drops(const std::string& text, bool any) { return Cell(text, any ? Colour::kBad : Colour::kNone); }

// A name without collection may be a guest's or a server's.
absl::StatusOr<v1::GetStatisticsResponse> Fetch(Client& client, const std::string& name) {
  if (name.empty() || !CollectionOf(name).empty()) return client.GetStatistics(name);
  absl::StatusOr<v1::GetStatisticsResponse> guest = client.GetStatistics(FullName("guests", name));
  if (!absl::IsNotFound(guest.status())) return guest;
  absl::StatusOr<v1::GetStatisticsResponse> server = client.GetStatistics(FullName("servers", name));
  if (!absl::IsNotFound(server.status())) return server;
  if (name == kDaemon) return client.GetStatistics(name);
  return absl::NotFoundError("neither a guest nor a server of that name exists");
}

Rows Sorted(const v1::GetStatisticsResponse& answer) {
  Rows rows;
  for (const v1::ResourceStatistics& row : answer.resources()) rows[{row.name(), row.peer()}] = row;
  return rows;
}

// Counters of every row that the table has no column for, by name.
void PrintRest(Context& context, const Rows& rows) {
  Table table({"NAME", "PEER", "COUNTER", {"VALUE", true}}, context.io.coloured);
  constexpr absl::string_view kShown[] = {"rx_frames", "rx_bytes", "tx_frames", "tx_bytes"};
  for (const auto& [key, row] : rows) {
    for (const auto& [name, value] : std::map(row.counters().begin(), row.counters().end())) {
      if (std::find(std::begin(kShown), std::end(kShown), name) != std::end(kShown)) continue;
      table.Add({row.name(), row.peer(), name, absl::StrCat(value)});
    }
    for (const auto& [reason, frames] : std::map(row.drops().begin(), row.drops().end())) {
      table.Add({row.name(), row.peer(), "drop: " + reason, Drops(absl::StrCat(frames), true)});
    }
  }
  if (table.empty()) return;
  if (rows.begin()->first.first != kDaemon) context.io.out << '\n';
  table.Print(context.io.out);
}

void PrintTotals(Context& context, const Rows& rows, bool rest) {
  Table table({"NAME",
               "PEER",
               {"RX-FRAMES", true},
               {"RX-BYTES", true},
               {"TX-FRAMES", true},
               {"TX-BYTES", true},
               {"DROPS", true}},
              context.io.coloured);
  for (const auto& [key, row] : rows) {
    if (row.name() == kDaemon) continue;
    table.Add({row.name(), row.peer(), absl::StrCat(CounterOf(row, "rx_frames")),
               Bytes(CounterOf(row, "rx_bytes")), absl::StrCat(CounterOf(row, "tx_frames")),
               Bytes(CounterOf(row, "tx_bytes")), Drops(absl::StrCat(DropsOf(row)), DropsOf(row) > 0)});
  }
  if (!table.empty()) table.Print(context.io.out);
  if (rest) PrintRest(context, rows);
}

void PrintRates(Context& context, const Rows& before, const Rows& after, absl::Duration passed) {
  Table table({"NAME",
               "PEER",
               {"RX-FRAMES/S", true},
               {"RX", true},
               {"TX-FRAMES/S", true},
               {"TX", true},
               {"DROPS/S", true}},
              context.io.coloured);
  for (const auto& [key, row] : after) {
    const auto old = before.find(key);
    const std::optional<Rates> rates =
        old == before.end() ? std::nullopt : RatesBetween(old->second, row, passed);
    if (!rates.has_value()) {
      table.Add({row.name(), row.peer(), "", "", "", "", ""});
      continue;
    }
    table.Add({row.name(), row.peer(), Count(rates->rx_frames), BitRate(rates->rx_bytes),
               Count(rates->tx_frames), BitRate(rates->tx_bytes),
               Drops(Count(rates->drops), rates->drops > 0)});
  }
  table.Print(context.io.out);
}

absl::Status PrintOnce(Context& context, const v1::GetStatisticsResponse& answer, bool rest) {
  if (context.output == Output::kJson) return context.PrintJson(answer);
  const Rows rows = Sorted(answer);
  if (context.output == Output::kName) {
    for (const auto& [key, row] : rows) {
      if (row.peer().empty()) context.io.out << row.name() << '\n';
    }
  } else if (rows.empty()) {
    context.io.err << "No statistics: nothing runs.\n";
  } else {
    PrintTotals(context, rows, rest);
  }
  return absl::OkStatus();
}

struct Options {
  std::string name;
  bool watch = false;
  std::optional<absl::Duration> interval;
  uint64_t count = 0;
};

// `count` blocks of rates, each over one interval; 0: without end. Absolute times, so that the interval does
// not drift.
absl::Status WatchRates(Context& context, Client& client, const Options& o) {
  const absl::Duration interval = o.interval.value_or(absl::Seconds(1));
  const absl::Duration end = Monotonic() + context.WaitTime(absl::InfiniteDuration());
  Rows before;
  absl::Duration then, due = Monotonic();
  bool first = true;
  for (uint64_t shown = 0; o.count == 0 || shown < o.count;) {
    absl::StatusOr<v1::GetStatisticsResponse> answer = Fetch(client, o.name);
    const absl::Duration now = Monotonic();
    // The daemon may be restarting; frames flow meanwhile, and the counters are not its own.
    if (!answer.ok() && (first || !absl::IsUnavailable(answer.status()))) return answer.status();
    if (!answer.ok()) {
      context.io.err << "librettosctl: the daemon went away; waiting for it\n";
    } else if (context.output == Output::kJson) {
      if (absl::Status status = context.PrintJson(*answer, true); !status.ok()) return status;
      ++shown;
    } else {
      Rows rows = Sorted(*answer);
      if (!first) {
        if (shown++ > 0) context.io.out << '\n';
        PrintRates(context, before, rows, now - then);
      }
      before = std::move(rows);
      then = now;
      first = false;
    }
    context.io.out.flush();
    if (!context.io.out.good()) return absl::OkStatus();
    due = std::max(due + interval, now);
    if (due >= end) return absl::OkStatus();
    if (o.count == 0 || shown < o.count) absl::SleepFor(due - now);
  }
  return absl::OkStatus();
}

}  // namespace

void AddStatsCommand(CLI::App* app, Context* context) {
  auto o = std::make_shared<Options>();
  CLI::App* stats = app->add_subcommand(
      "stats", "Counters of servers and guests; of one with all its counters (of all with -o wide)");
  stats
      ->add_option("NAME", o->name,
                   "A guest or server (default: all), or \"daemon\" for what it keeps itself")
      ->type_name("");
  stats->add_flag("--watch,-w", o->watch, "Rates, again and again, until interrupted");
  AddDuration(stats, "--interval", &o->interval, "Between two looks with --watch (default: 1s)");
  stats->add_option("--count", o->count, "End after so many with --watch")
      ->type_name("N")
      ->check(CLI::Validator(CLI::PositiveNumber).description(""));
  stats->callback([=] {
    context->what = o->name.empty() ? "stats" : "stats " + o->name;
    context->run = [=]() -> absl::Status {
      absl::StatusOr<Client*> daemon = context->Daemon();
      if (!daemon.ok()) return daemon.status();
      if (o->watch) return WatchRates(*context, **daemon, *o);
      absl::StatusOr<v1::GetStatisticsResponse> answer = Fetch(**daemon, o->name);
      if (!answer.ok()) return answer.status();
      return PrintOnce(*context, *answer, !o->name.empty() || context->wide());
    };
  });
}

}  // namespace librettos::ctl
