// Parts that commands' command lines have in common.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/time/time.h"
#include "client/commands/context.h"

namespace librettos::ctl {

// An option that takes a duration ("500ms"). `target` must live as long as the app.
CLI::Option* AddDuration(CLI::App* app, const std::string& flag, std::optional<absl::Duration>* target,
                         const std::string& help);

// --etag and --request-id, as far as `etag` says.
struct Guard {
  std::string etag;
  std::string request_id;
};
void AddGuard(CLI::App* app, Guard* guard, bool etag);

// --memory-mib and --vcpus, of a domain on Xen.
void AddSize(CLI::App* app, uint32_t* memory_mib, uint32_t* vcpus);

// --wait, --no-wait.
void AddWait(CLI::App* app, bool* wait, const std::string& help);

// A command "VERB NAME" that runs `run(full name)`; `what` is "VERB full-name". `collection`: see FullName.
CLI::App* AddNamed(CLI::App* noun, const std::string& verb, const std::string& help,
                   const std::string& collection, Context* context,
                   std::function<absl::Status(const std::string&)> run);

}  // namespace librettos::ctl
