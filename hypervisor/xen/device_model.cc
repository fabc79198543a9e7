#include "hypervisor/xen/device_model.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "hypervisor/xen/xen_headers.h"

namespace librettos::xen {

int32_t DeviceModelPid(hypervisor::DomainId domain) {
  xs_handle* xenstore = xs_open(0);
  if (xenstore == nullptr) return 0;
  const std::string path = absl::StrCat("/local/domain/", domain, "/image/device-model-pid");
  unsigned length = 0;
  char* value = static_cast<char*>(xs_read(xenstore, XBT_NULL, path.c_str(), &length));
  int32_t pid = 0;
  if (value == nullptr || !absl::SimpleAtoi(absl::string_view(value, length), &pid)) pid = 0;
  free(value);
  xs_close(xenstore);
  return pid;
}

bool IsDeviceModelOf(hypervisor::DomainId domain, const std::string& arguments) {
  using namespace std::string_literals;
  return absl::StrContains(arguments, "\0-xen-domid\0"s + std::to_string(domain) + "\0"s);
}

int OpenDeviceModel(hypervisor::DomainId domain, int32_t pid) {
  if (pid <= 1) return -1;
  const int process = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (process < 0) return -1;
  // Read after the descriptor was opened: what it stands for cannot become another process any more.
  std::ifstream file(absl::StrCat("/proc/", pid, "/cmdline"), std::ios::binary);
  const std::string arguments{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (IsDeviceModelOf(domain, arguments)) return process;
  close(process);
  return -1;
}

void KillDeviceModel(hypervisor::DomainId domain) {
  const int process = OpenDeviceModel(domain, DeviceModelPid(domain));
  if (process < 0) return;
  syscall(SYS_pidfd_send_signal, process, SIGKILL, nullptr, 0);
  close(process);
}

}  // namespace librettos::xen
