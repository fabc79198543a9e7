#include <string>

#include "guest/platform/platform.h"

namespace librettos {

int DomainMain(Platform& platform) {
  Log("probe: up");
  const std::string data = "/local/domain/" + std::to_string(platform.self()) + "/data/";
  (void)platform.registry().Publish(data + "probe", "up");
  while (!platform.loop().stopping()) platform.loop().Wait(Now() + 1000000000);
  return 3;
}

}  // namespace librettos
