// The keys of a guest's vif, in any order and with any value: "name value" a line, "-name" removes.
//
// Checked: what is called complete is usable, whatever it was read from.
#include <cstring>
#include <string>

#include "bazel/fuzz_input.h"
#include "guest/channel/layout.h"
#include "guest/net/config_reader.h"
#include "guest/platform/testing/fake_platform.h"

namespace librettos::guest {
namespace {

constexpr size_t kMaxLines = 32;

void Check(const NetworkConfig& config) {
  FUZZ_CHECK(config.address_count >= 1 && config.address_count <= NetworkConfig::kMaxAddresses);
  for (size_t i = 0; i < config.address_count; ++i) {
    const NetworkAddress& address = config.addresses[i];
    FUZZ_CHECK(address.prefix <= (IP_IS_V4(&address.address) ? 32 : 128));
  }
  FUZZ_CHECK(!config.has_gateway4 || IP_IS_V4(&config.gateway4));
  FUZZ_CHECK(!config.has_gateway6 || IP_IS_V6(&config.gateway6));
  FUZZ_CHECK(config.mtu >= 1280 && config.mtu <= 9000);
  FUZZ_CHECK(config.queue_pairs >= 1 && config.queue_pairs <= channel::kMaxQueuePairs);
}

void Run(std::string_view script) {
  fake::FakeWorld world;
  fake::FakePlatform* platform = world.AddDomain(1);
  ConfigReader reader(*platform);
  FUZZ_CHECK(reader.Start().ok());
  for (size_t lines = 0; !script.empty() && lines < kMaxLines; ++lines) {
    const std::string_view line = script.substr(0, script.find('\n'));
    script.remove_prefix(std::min(script.size(), line.size() + 1));
    std::string_view name = line.substr(0, line.find(' '));
    const std::string_view value = line.substr(std::min(line.size(), name.size() + 1));
    const bool gone = name.starts_with('-');
    if (gone) name.remove_prefix(1);
    if (name.empty() || name.find_first_not_of("abcdefghijklmnopqrstuvwxyz-0123456789/") != name.npos)
      continue;
    const std::string path = "/local/domain/1/device/vif/0/" + std::string(name);
    if (path.size() > 255 || path.ends_with('/') || value.size() > 1024) continue;
    gone ? world.Remove(path) : world.Write(path, std::string(value));
    world.RunUntilIdle();
    if (reader.Complete(Now())) Check(reader.config());
  }
  // What is optional is not waited for for ever.
  (void)reader.Complete(Now());
  if (reader.Complete(Now() + ConfigReader::kGrace)) Check(reader.config());
}

}  // namespace
}  // namespace librettos::guest

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  librettos::guest::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
