#include "guest/platform/xen/xenbus.h"

#include "guest/platform/xen/cpu.h"
#include "guest/platform/xen/hypercall.h"
#include "guest/platform/xen/shared_info.h"
#include "guest/platform/xen/xenstore_path.h"

namespace librettos::xen {
namespace {

constexpr std::string_view kNul("\0", 1);
constexpr Nanoseconds kMillisecond = 1000000;
constexpr Nanoseconds kPatience = 10000 * kMillisecond;

xenstore_domain_interface* MapRing() {
  const uint64_t frame = HvmParameter(HVM_PARAM_STORE_PFN);
  if (frame == 0) Panic("the domain has no xenstore");
  return static_cast<xenstore_domain_interface*>(MapSharedPage(frame * kPageSize));
}

}  // namespace

Xenbus::Xenbus(Events& events, XenLoop& loop)
    : events_(events),
      loop_(loop),
      shared_(MapRing()),
      port_(static_cast<evtchn_port_t>(HvmParameter(HVM_PARAM_STORE_EVTCHN))),
      ring_(shared_),
      registry_(ring_, &work_) {
  if (port_ == 0 || port_ >= Events::kPorts) Panic("the domain has no event channel to xenstore");
}

std::optional<std::string> Xenbus::Read(std::string_view path) {
  auto value = Request(XS_READ, {path, kNul});
  if (!value.ok()) return std::nullopt;
  return std::move(*value);
}

Status Xenbus::Write(std::string_view path, std::string_view value) {
  return Request(XS_WRITE, {path, kNul, value}).error();
}

std::vector<std::string> Xenbus::List(std::string_view path) {
  std::vector<std::string> names;
  auto listed = Request(XS_DIRECTORY, {path, kNul});
  if (!listed.ok()) return names;
  std::string_view rest = *listed;
  for (std::string_view name; TakeText(rest, &name);) names.emplace_back(name);
  return names;
}

bool Xenbus::AwaitValue(std::string_view path, std::string_view value, Nanoseconds deadline) {
  while (Read(path).value_or("") != value) {
    if (Now() >= deadline) return false;
    events_.Await(port_, Now() + 10 * kMillisecond);
  }
  return true;
}

Result<std::string> Xenbus::Request(uint32_t type, std::initializer_list<std::string_view> parts) {
  answered_ = false;
  const Nanoseconds asked = Now();
  if (Status sent = ring_.Send(type, ++next_id_, parts); !sent.ok()) return sent.error();
  for (;;) {
    if (ring_.Turn(*this)) Events::Send(port_);
    if (ring_.broken()) return Error::kProtocol;
    if (answered_) break;
    events_.Await(port_, Now() + kPatience);
    if (Now() - asked > kPatience) Log("still waiting for xenstore");
  }
  if (!ok_) return answer_.starts_with("EACCES") ? Error::kPermission : Error::kNotFound;
  return std::move(answer_);
}

void Xenbus::OnMessage(uint32_t type, uint32_t id, std::string_view payload) {
  if (id != next_id_) return;
  answered_ = true;
  ok_ = type != XS_ERROR;
  answer_ = payload;
}

void Xenbus::Start() { events_.SetHandler(port_, this); }

void Xenbus::OnEvent() {
  if (registry_.Turn()) Events::Send(port_);
}

void Xenbus::Finish(Nanoseconds deadline) {
  while (!registry_.written() && !ring_.broken() && Now() < deadline) {
    if (registry_.Turn()) Events::Send(port_);
    Pause();
  }
}

void Xenbus::WriteLast(std::string_view path, std::string_view value) {
  if (!ring_.Send(XS_WRITE, 0, {path, kNul, value}).ok()) return;
  const Nanoseconds deadline = Now() + 100 * kMillisecond;
  while (Now() < deadline && !ring_.broken()) {
    if (ring_.Flush()) Events::Send(port_);
    if (ring_.sent() && __atomic_load_n(&shared_->req_cons, __ATOMIC_RELAXED) == shared_->req_prod) return;
    Pause();
  }
}

}  // namespace librettos::xen
