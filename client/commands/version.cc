// librettosctl version
#include "client/version.h"

#include "client/commands/nouns.h"

namespace librettos::ctl {

void AddVersionCommand(CLI::App* app, Context* context) {
  app->add_subcommand("version", "Version of this program and of the API it speaks")->callback([=] {
    context->what = "version";
    context->run = [=] {
      if (context->output == Output::kJson) {
        context->io.out << "{\"version\": \"" << kVersion << "\", \"api\": \"" << kApi << "\"}\n";
      } else {
        context->io.out << "librettosctl " << kVersion << " (API " << kApi << ")\n";
      }
      return absl::OkStatus();
    };
  });
}

}  // namespace librettos::ctl
