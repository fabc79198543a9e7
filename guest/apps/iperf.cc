#include "guest/apps/iperf.h"

#include <algorithm>

#include "guest/apps/options.h"
#include "guest/apps/program.h"

namespace librettos::apps {
namespace {

constexpr std::string_view kUsage =
    "iperf -s [-p PORT] | iperf -c ADDRESS [-u] [-t SECONDS] [-P STREAMS] [-b BITS_PER_S] [-l BYTES] [-p "
    "PORT]";

}  // namespace

void LogIperfFigures(std::string_view what, const sockets::Address& peer, uint64_t bytes,
                     uint64_t duration_us, std::string_view more) {
  Line line;
  line.Add("iperf: ").Add(what).Add(' ').AddEndpoint(peer).Add(": ").AddNumber(bytes).Add(" bytes in ");
  // Bits per microsecond are megabits per second.
  line.AddFixed(duration_us, 1'000'000, 3)
      .Add(" s, ")
      .AddFixed(bytes * 8, std::max<uint64_t>(duration_us, 1), 1);
  line.Add(" Mbit/s").Add(more);
  Log(line.view());
}

int RunIperf(Platform&, Arguments arguments) {
  std::string_view server, client, udp, port_text = "5001", seconds = "10", streams = "1", rate = "1m", bytes;
  const OptionSpec specs[] = {{"--server", "-s", false, &server}, {"--client", "-c", true, &client},
                              {"--udp", "-u", false, &udp},       {"--port", "-p", true, &port_text},
                              {"--time", "-t", true, &seconds},   {"--parallel", "-P", true, &streams},
                              {"--bandwidth", "-b", true, &rate}, {"--len", "-l", true, &bytes}};
  size_t words = 0;
  uint64_t port = 0, stream_count = 0, length = 0;
  IperfClientOptions options;
  Line error;
  if (!ParseOptions(arguments, specs, {}, &words, error)) return UsageError("iperf", error.view(), kUsage);
  if (server.empty() == client.empty()) return UsageError("iperf", "needs either -s or -c ADDRESS", kUsage);
  options.udp = !udp.empty();
  if (bytes.empty()) bytes = options.udp ? "1470" : "131072";
  if (!ParseNumber("-p", port_text, 1, 65535, &port, error) ||
      !ParseNumber("-t", seconds, 1, 1'000'000, &options.seconds, error) ||
      !ParseNumber("-P", streams, 1, kIperfMaxStreams, &stream_count, error) ||
      !ParseScaled("-b", rate, 1'000, 1'000'000'000'000, &options.bits_per_second, error) ||
      !ParseScaled("-l", bytes, 64, options.udp ? 65507 : 128 << 10, &length, error)) {
    return UsageError("iperf", error.view(), kUsage);
  }
  // Servers take UDP tests without -u, too.
  if (!server.empty()) return RunIperfServer(static_cast<uint16_t>(port));
  const Result<sockets::Address> peer = sockets::Address::Parse(client, static_cast<uint16_t>(port));
  if (!peer.ok()) return UsageError("iperf", "-c needs an IPv4 or IPv6 address", kUsage);
  options.peer = peer.value();
  options.streams = static_cast<uint32_t>(stream_count);
  options.bytes = static_cast<size_t>(length);
  return RunIperfClient(options);
}

}  // namespace librettos::apps
