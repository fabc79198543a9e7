// Log() and Panic() of a process: standard error is whatever the daemon handed over.
#include <stdlib.h>
#include <sys/uio.h>

#include "guest/platform/platform.h"

namespace librettos {

void Log(std::string_view line) {
  char newline = '\n';
  iovec parts[2] = {{const_cast<char*>(line.data()), line.size()}, {&newline, 1}};
  // One call, so that lines of several processes do not mix. What does not fit at once is dropped.
  (void)!writev(2, parts, 2);
}

void Panic(std::string_view reason) {
  Log("panic:");
  Log(reason);
  abort();
}

}  // namespace librettos
