// librettosctl operation …
#include <string>

#include "client/commands/finish.h"
#include "client/commands/flags.h"
#include "client/commands/nouns.h"
#include "client/commands/operation_view.h"
#include "client/commands/verbs.h"

namespace librettos::ctl {

void AddOperationCommands(CLI::App* app, Context* context) {
  CLI::App* noun =
      app->add_subcommand("operation", "Operations: changes that take a while")->require_subcommand(1);
  AddList<v1::Operation>(noun, context, [](Client& client) { return client.ListOperations(); });
  AddDescribe<v1::Operation>(noun, context, &Client::GetOperation);
  AddNamed(noun, "wait", "Wait until an operation is done (default: 60s, see --timeout)", "operations",
           context, [=](const std::string& name) -> absl::Status {
             absl::StatusOr<Client*> daemon = context->Daemon();
             if (!daemon.ok()) return daemon.status();
             absl::StatusOr<v1::Operation> operation =
                 (*daemon)->WaitOperation(name, context->WaitTime(absl::Seconds(60)));
             if (!operation.ok()) return operation.status();
             return FinishOperation(*context, **daemon, *operation, true, absl::Seconds(60),
                                    absl::StrCat(name, " succeeded"),
                                    "nothing has changed; look at " + operation->target());
           });
}

}  // namespace librettos::ctl
