#include "client/commands/app.h"

#include <algorithm>
#include <map>

#include "CLI/CLI.hpp"
#include "client/commands/exit_code.h"
#include "client/commands/flags.h"
#include "client/commands/nouns.h"
#include "client/commands/report.h"
#include "client/commands/units.h"

namespace librettos::ctl {
namespace {

constexpr char kFooter[] =
    "Exit codes: 0 ok, 1 other failure, 2 usage, 3 not found, 4 conflict, 5 daemon unavailable,\n"
    "            6 time-out, 7 permission denied\n"
    "Manual: man librettosctl";

void AddGlobals(CLI::App* app, Context* context) {
  app->add_option("-s,--socket", context->socket, "The daemon's socket")
      ->type_name("PATH")
      ->envname("LIBRETTOS_SOCKET")
      ->capture_default_str();
  const std::map<std::string, Output> outputs = {
      {"table", Output::kTable}, {"wide", Output::kWide}, {"json", Output::kJson}, {"name", Output::kName}};
  // By hand: CLI::CheckedTransformer would also take the enumeration's numbers.
  app->add_option_function<std::string>(
         "-o,--output", [=](const std::string& text) { context->output = outputs.at(text); },
         "table, wide, json or name (default: table)")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"table", "wide", "json", "name"}));
  AddDuration(app, "--timeout", &context->timeout,
              "For each call (default: 10s), and for waiting (default: 30s or what the change may take)");
}

// The innermost command that was recognised, for its help.
std::string CommandPath(const CLI::App* app) {
  std::string path = "librettosctl";
  while (!app->get_subcommands().empty()) {
    app = app->get_subcommands().front();
    path += " " + app->get_name();
  }
  return path;
}

int UsageError(const CLI::App& app, const std::string& why, const Io& io) {
  io.err << "librettosctl: usage: " << Printable(why.substr(0, why.find('\n'))) << "\n  next: see "
         << CommandPath(&app) << " --help\n";
  return kUsage;
}

}  // namespace

int Run(const std::vector<std::string>& arguments, const Io& io) {
  Context context(io);
  CLI::App app("Controls librettosd: network servers, guests, NICs.", "librettosctl");
  // So that -o and the like may also stand after the command. Inherited by commands added later.
  app.fallthrough();
  app.footer(kFooter);
  app.require_subcommand(1);
  AddGlobals(&app, &context);
  AddServerCommands(&app, &context);
  AddGuestCommands(&app, &context);
  AddNicCommands(&app, &context);
  AddChannelCommands(&app, &context);
  AddOperationCommands(&app, &context);
  AddStatsCommand(&app, &context);
  AddVersionCommand(&app, &context);
  AddCompletionCommand(&app, &context);

  // What follows "--" is the guest's, word for word, and never looked at by the parser.
  const auto dashes = std::find(arguments.begin(), arguments.end(), "--");
  context.had_dashes = dashes != arguments.end();
  if (context.had_dashes) context.after_dashes.assign(dashes + 1, arguments.end());
  std::vector<std::string> words(arguments.begin(), dashes);
  std::reverse(words.begin(), words.end());  // CLI11 takes them from the back.

  // CLI11 tells of errors by exceptions; they end here.
  try {
    app.parse(words);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help, io.out, io.err);
  } catch (const CLI::ParseError& error) {
    return UsageError(app, error.what(), io);
  }
  if (context.had_dashes && CommandPath(&app) != "librettosctl guest create") {
    return UsageError(app, "only a guest's command line can follow \"--\"", io);
  }
  const absl::Status status = context.run();
  io.out.flush();
  if (!status.ok()) {
    io.err << RenderError(context.what, status, context.socket);
    return ExitCodeFor(status.code());
  }
  if (!io.out.good()) {
    io.err << "librettosctl: " << context.what << ": the output cannot be written\n";
    return kFailed;
  }
  return kOk;
}

}  // namespace librettos::ctl
