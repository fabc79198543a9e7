#include "client/commands/flags.h"

#include <utility>

#include "client/commands/units.h"
#include "client/names.h"

namespace librettos::ctl {

CLI::Option* AddDuration(CLI::App* app, const std::string& flag, std::optional<absl::Duration>* target,
                         const std::string& help) {
  const CLI::Validator valid(
      [](std::string& text) {
        const absl::StatusOr<absl::Duration> duration = ParseDuration(text);
        return duration.ok() ? std::string() : std::string(duration.status().message());
      },
      "");
  return app
      ->add_option_function<std::string>(
          flag, [target](const std::string& text) { *target = *ParseDuration(text); }, help)
      ->type_name("DURATION")
      ->check(valid);
}

void AddGuard(CLI::App* app, Guard* guard, bool etag) {
  if (etag) {
    app->add_option("--etag", guard->etag, "Only if this is the resource's current etag")->type_name("ETAG");
  }
  app->add_option("--request-id", guard->request_id,
                  "Makes a repetition harmless: the same id returns the first call's result")
      ->type_name("ID");
}

void AddSize(CLI::App* app, uint32_t* memory_mib, uint32_t* vcpus) {
  app->add_option("--memory-mib", *memory_mib, "Memory of a domain in MiB, on Xen (default: the daemon's)")
      ->type_name("N");
  app->add_option("--vcpus", *vcpus, "Virtual CPUs of a domain, on Xen (default: the daemon's)")
      ->type_name("N");
}

void AddWait(CLI::App* app, bool* wait, const std::string& help) {
  app->add_flag("--wait,!--no-wait", *wait, help);
}

CLI::App* AddNamed(CLI::App* noun, const std::string& verb, const std::string& help,
                   const std::string& collection, Context* context,
                   std::function<absl::Status(const std::string&)> run) {
  CLI::App* app = noun->add_subcommand(verb, help);
  auto name = std::make_shared<std::string>();
  app->add_option("NAME", *name, "Name, with or without \"" + collection + "/\"")->required()->type_name("");
  app->callback([=, run = std::move(run)] {
    const std::string full = FullName(collection, *name);
    context->what = verb + " " + full;
    context->run = [run, full] { return run(full); };
  });
  return app;
}

}  // namespace librettos::ctl
