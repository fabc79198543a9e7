// list, describe and delete, which are alike for every kind of resource.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "client/commands/flags.h"
#include "client/commands/view.h"

namespace librettos::ctl {

// "list", with --watch if `watchable`. `fetch(client)` returns all of them.
template <typename Resource, typename Fetch>
CLI::App* AddList(CLI::App* noun, Context* context, Fetch fetch) {
  CLI::App* app = noun->add_subcommand("list", "List all, one to a row");
  auto watch = std::make_shared<bool>(false);
  if constexpr (requires { &View<Resource>::Of; }) {
    app->add_flag("--watch,-w", *watch, "Go on with a row for each change, until interrupted");
  }
  app->callback([=] {
    context->what = absl::StrCat("list ", View<Resource>::kCollection);
    context->run = [=]() -> absl::Status {
      if constexpr (requires { &View<Resource>::Of; }) {
        if (*watch) return WatchList<Resource>(*context);
      }
      absl::StatusOr<Client*> daemon = context->Daemon();
      if (!daemon.ok()) return daemon.status();
      absl::StatusOr<std::vector<Resource>> all = fetch(**daemon);
      return all.ok() ? PrintList(*context, *std::move(all)) : all.status();
    };
  });
  return app;
}

// "describe NAME".
template <typename Resource>
CLI::App* AddDescribe(CLI::App* noun, Context* context,
                      absl::StatusOr<Resource> (Client::*get)(absl::string_view)) {
  return AddNamed(noun, "describe", "Show one with all that is known of it", View<Resource>::kCollection,
                  context, [=](const std::string& name) -> absl::Status {
                    absl::StatusOr<Client*> daemon = context->Daemon();
                    if (!daemon.ok()) return daemon.status();
                    absl::StatusOr<Resource> resource = ((*daemon)->*get)(name);
                    return resource.ok() ? PrintOne(*context, *resource) : resource.status();
                  });
}

// "delete NAME".
template <typename Resource, typename Request>
CLI::App* AddDelete(CLI::App* noun, Context* context, const std::string& help,
                    absl::Status (Client::*remove)(const Request&)) {
  auto guard = std::make_shared<Guard>();
  CLI::App* app = AddNamed(noun, "delete", help, View<Resource>::kCollection, context,
                           [=](const std::string& name) -> absl::Status {
                             absl::StatusOr<Client*> daemon = context->Daemon();
                             if (!daemon.ok()) return daemon.status();
                             Request request;
                             request.set_name(name);
                             request.set_etag(guard->etag);
                             request.set_request_id(guard->request_id);
                             const absl::Status status = ((*daemon)->*remove)(request);
                             return status.ok() ? PrintDeleted(*context, name) : status;
                           });
  AddGuard(app, guard.get(), true);
  return app;
}

}  // namespace librettos::ctl
