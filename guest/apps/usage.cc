#include "guest/apps/program.h"
#include "guest/apps/text.h"

namespace librettos::apps {

int UsageError(std::string_view program, std::string_view what, std::string_view usage) {
  TextOf<1024> line;
  line.Add(program).Add(": ").Add(what).Add("; usage: ").Add(usage);
  Log(line.view());
  return 2;
}

}  // namespace librettos::apps
