// A guest: brings up its network, then runs the built-in program that its command line names.
#include "guest/apps/program.h"
#include "guest/apps/text.h"
#include "guest/sockets/sockets.h"

namespace librettos {
namespace {

struct BuiltIn {
  std::string_view name;
  int (*run)(Platform& platform, apps::Arguments arguments);
};

constexpr BuiltIn kPrograms[] = {
    {"http", apps::RunHttp},
    {"echo", apps::RunEcho},
    {"iperf", apps::RunIperf},
    {"udpseq", apps::RunUdpseq},
};

class Running final : public sockets::Program {
 public:
  Running(const BuiltIn& program, Platform& platform, apps::Arguments arguments)
      : program_(program), platform_(platform), arguments_(arguments) {}
  int Run() override { return program_.run(platform_, arguments_); }

 private:
  const BuiltIn& program_;
  Platform& platform_;
  const apps::Arguments arguments_;
};

constexpr std::string_view kUsage = "http|echo|iperf|udpseq [OPTION]...";

}  // namespace

int DomainMain(Platform& platform) {
  const apps::Arguments arguments = platform.arguments();
  if (arguments.empty()) return apps::UsageError("guest", "no program given", kUsage);
  for (const BuiltIn& program : kPrograms) {
    if (program.name != arguments[0]) continue;
    if (Status started = sockets::Start(platform); !started.ok()) {
      apps::Line line;
      line.Add("guest: the network did not start: ").Add(ToString(started.error()));
      line.Add("; see the guest's addresses and its network server");
      Log(line.view());
      return 1;
    }
    Running running(program, platform, arguments.subspan(1));
    return sockets::RunProgram(running);
  }
  apps::Line what;
  what.Add("unknown program '").Add(arguments[0]).Add("'");
  return apps::UsageError("guest", what.view(), kUsage);
}

}  // namespace librettos
