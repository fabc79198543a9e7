// librettosctl: the command line of librettosd. See packaging/man/librettosctl.1.
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <iostream>
#include <string>
#include <vector>

#include "client/commands/app.h"

int main(int argc, char** argv) {
  // gRPC logs connection failures to stderr by itself; they are told in our own words.
  setenv("GRPC_VERBOSITY", "NONE", 0);
  // `librettosctl … | head` ends by the write error, which is noticed.
  signal(SIGPIPE, SIG_IGN);
  const char* no_color = getenv("NO_COLOR");
  const char* term = getenv("TERM");
  const bool refused =
      (no_color != nullptr && *no_color != '\0') || term == nullptr || strcmp(term, "dumb") == 0;
  const librettos::ctl::Io io{std::cout, std::cerr, !refused && isatty(STDOUT_FILENO) == 1};
  return librettos::ctl::Run(std::vector<std::string>(argv + 1, argv + argc), io);
}
