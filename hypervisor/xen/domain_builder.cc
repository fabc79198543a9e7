#include "hypervisor/xen/domain_builder.h"

#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "hypervisor/xen/archive.h"
#include "hypervisor/xen/device_model.h"

namespace librettos::xen {
namespace {

bool Exists(LibxlContext& context, hypervisor::DomainId id) {
  libxl_dominfo info;
  libxl_dominfo_init(&info);
  const int code = libxl_domain_info(context.get(), &info, id);
  libxl_dominfo_dispose(&info);
  (void)context.Check(code, "");
  return code == 0;
}

absl::Status BuildNow(LibxlContext& context, const DomainPlan& plan, const std::string& files) {
  if (!files.empty()) {
    if (absl::Status status = WriteArchive(files, plan.disk); !status.ok()) return status;
  }
  DomainConfiguration configuration(plan);
  uint32_t id = INVALID_DOMID;
  const int code = libxl_domain_create_new(context.get(), configuration.get(), &id, nullptr, nullptr);
  absl::Status status = context.Check(code, absl::StrCat("domain ", plan.name, " cannot be built"));
  if (!status.ok() && !plan.disk.empty()) unlink(plan.disk.c_str());
  return status;
}

absl::Status DestroyNow(LibxlContext& context, hypervisor::DomainId id, const std::string& disk) {
  if (Exists(context, id)) {
    KillDeviceModel(id);
    const int code = libxl_domain_destroy(context.get(), id, nullptr);
    if (absl::Status status = context.Check(code, absl::StrCat("domain ", id, " cannot be destroyed"));
        !status.ok() && Exists(context, id)) {
      return status;
    }
  }
  unlink(disk.c_str());
  return absl::OkStatus();
}

}  // namespace

void DomainBuilder::Submit(hypervisor::DomainId id, std::function<absl::Status(LibxlContext&)> work,
                           Done done) {
  auto answer = [this, done = std::move(done)](absl::Status status) {
    loop_.Post([done, status = std::move(status)] { done(status); });
  };
  workers_.Submit(
      id, [work = std::move(work), answer](LibxlContext& context) { answer(work(context)); }, answer);
}

void DomainBuilder::Build(const DomainPlan& plan, const std::string& files, Done done) {
  Submit(
      plan.id, [plan, files](LibxlContext& context) { return BuildNow(context, plan, files); },
      std::move(done));
}

void DomainBuilder::Start(hypervisor::DomainId id, Done done) {
  Submit(
      id,
      [id](LibxlContext& context) {
        return context.Check(libxl_domain_unpause(context.get(), id, nullptr),
                             absl::StrCat("domain ", id, " cannot be started"));
      },
      std::move(done));
}

void DomainBuilder::Destroy(hypervisor::DomainId id, const std::string& disk, Done done) {
  Submit(
      id, [id, disk](LibxlContext& context) { return DestroyNow(context, id, disk); }, std::move(done));
}

}  // namespace librettos::xen
