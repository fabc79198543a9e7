// The nouns of librettosctl: each adds its commands to the app. `context` must outlive it.
#pragma once

#include "CLI/CLI.hpp"
#include "client/commands/context.h"

namespace librettos::ctl {

void AddServerCommands(CLI::App* app, Context* context);
void AddGuestCommands(CLI::App* app, Context* context);
void AddNicCommands(CLI::App* app, Context* context);
void AddChannelCommands(CLI::App* app, Context* context);
void AddOperationCommands(CLI::App* app, Context* context);
void AddStatsCommand(CLI::App* app, Context* context);
void AddVersionCommand(CLI::App* app, Context* context);
// Last: it completes what is there by then.
void AddCompletionCommand(CLI::App* app, Context* context);

}  // namespace librettos::ctl
