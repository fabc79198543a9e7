#include "hypervisor/xen/libxl_pci.h"

#include <stdio.h>
#include <unistd.h>

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

namespace librettos::xen {
namespace {

constexpr char kSysfs[] = "/sys";

libxl_device_pci DeviceOf(const PciAddress& function) {
  libxl_device_pci device;
  libxl_device_pci_init(&device);
  device.domain = function.domain;
  device.bus = function.bus;
  device.dev = function.device;
  device.func = function.function;
  return device;
}

// The slot of bus 0 in which the domain has the function; nothing: it does not have it.
std::optional<int> SlotOf(LibxlContext& context, DomainId domain, const PciAddress& function) {
  int count = 0;
  std::optional<int> slot;
  libxl_device_pci* list = libxl_device_pci_list(context.get(), domain, &count);
  for (int i = 0; i < count; ++i) {
    const libxl_device_pci& device = list[i];
    if (device.domain == function.domain && device.bus == function.bus && device.dev == function.device &&
        device.func == function.function) {
      slot = static_cast<int>(device.vdevfn >> 3);
    }
  }
  libxl_device_pci_list_free(list, count);
  return slot;
}

absl::Status GiveBack(LibxlContext& context, const PciAddress& function) {
  libxl_device_pci device = DeviceOf(function);
  const int code = libxl_device_pci_assignable_remove(context.get(), &device, /*rebind=*/1);
  return context.Check(code, absl::StrCat(function.text(), " cannot be given back to domain 0"));
}

absl::StatusOr<int> AttachNow(LibxlContext& context, DomainId domain, const PciAddress& function) {
  if (const auto slot = SlotOf(context, domain, function)) return *slot;  // By a former daemon.
  libxl_device_pci device = DeviceOf(function);
  const int code = libxl_device_pci_add(context.get(), domain, &device, nullptr);
  if (absl::Status status =
          context.Check(code, absl::StrCat(function.text(), " cannot be given to domain ", domain));
      !status.ok()) {
    return status;
  }
  const auto slot = SlotOf(context, domain, function);
  if (!slot.has_value() || *slot == 0) {
    return absl::UnavailableError(absl::StrCat(function.text(), " has no slot in domain ", domain));
  }
  return *slot;
}

absl::Status DetachNow(LibxlContext& context, DomainId domain, const PciAddress& function) {
  if (!SlotOf(context, domain, function).has_value()) return absl::OkStatus();
  libxl_device_pci device = DeviceOf(function);
  int code = libxl_device_pci_remove(context.get(), domain, &device, nullptr);
  if (code == 0) return context.Check(0, "");
  // The domain does not answer the ejection: it is not asked again.
  (void)context.Check(code, "");
  device = DeviceOf(function);
  code = libxl_device_pci_destroy(context.get(), domain, &device, nullptr);
  return context.Check(code, absl::StrCat(function.text(), " cannot be taken from domain ", domain));
}

}  // namespace

absl::StatusOr<PciSysfs> LibxlPci::Inspect(const PciAddress& function) {
  return ReadPciSysfs(kSysfs, function);
}

absl::Status LibxlPci::MakeAssignable(const PciAddress& function) {
  if (access("/sys/bus/pci/drivers/pciback", F_OK) != 0) {
    return absl::FailedPreconditionError(
        "the kernel of domain 0 has no PCI back end; load it: modprobe xen-pciback");
  }
  libxl_device_pci device = DeviceOf(function);
  const int code = libxl_device_pci_assignable_add(context_.get(), &device, /*rebind=*/1);
  return context_.Check(code, absl::StrCat(function.text(), " cannot be made assignable"));
}

absl::Status LibxlPci::Release(const PciAddress& function) { return GiveBack(context_, function); }

void LibxlPci::ReleaseAfter(DomainId domain, const PciAddress& function) {
  const auto report = [](const absl::Status& status) {
    if (!status.ok()) fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  };
  workers_.Submit(
      domain, [function, report](LibxlContext& context) { report(GiveBack(context, function)); }, report);
}

void LibxlPci::Attach(DomainId domain, const PciAddress& function, Attached done) {
  auto answer = [this, done = std::move(done)](absl::StatusOr<int> slot) {
    loop_.Post([done, slot = std::move(slot)] { done(slot); });
  };
  workers_.Submit(
      domain, [=](LibxlContext& context) { answer(AttachNow(context, domain, function)); },
      [=](absl::Status status) { answer(std::move(status)); });
}

void LibxlPci::Detach(DomainId domain, const PciAddress& function, std::function<void(absl::Status)> done) {
  auto answer = [this, done = std::move(done)](absl::Status status) {
    loop_.Post([done, status = std::move(status)] { done(status); });
  };
  workers_.Submit(
      domain, [=](LibxlContext& context) { answer(DetachNow(context, domain, function)); }, answer);
}

void LibxlPci::After(absl::Duration delay, std::function<void()> callback) {
  loop_.After(delay, std::move(callback));
}

}  // namespace librettos::xen
