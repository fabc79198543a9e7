// ProcessHypervisor: connections to the domains, and what arrives on them.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "guest/platform/result.h"
#include "hypervisor/process/control_socket.h"
#include "hypervisor/process/process_hypervisor.h"

namespace librettos::process {
namespace {

constexpr size_t kMaxParked = 64;  // Per requester and owner.
constexpr absl::Duration kReturnPatience = absl::Milliseconds(1);
constexpr absl::Duration kReportInterval = absl::Milliseconds(100);

Error ErrorOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return Error::kOk;
    case absl::StatusCode::kNotFound:
      return Error::kNotFound;
    case absl::StatusCode::kPermissionDenied:
      return Error::kPermission;
    case absl::StatusCode::kResourceExhausted:
      return Error::kExhausted;
    case absl::StatusCode::kInvalidArgument:
      return Error::kInvalidArgument;
    default:
      return Error::kUnavailable;
  }
}

Message ReplyTo(const Message& request, const absl::Status& status) {
  return Message{.type = request.type == WireType::kMap ? WireType::kMapReply : WireType::kBindReply,
                 .id = request.id,
                 .a = static_cast<uint32_t>(ErrorOf(status))};
}

}  // namespace

void ProcessHypervisor::Connect(DomainId id) {
  Domain& domain = *Find(id);
  domain.reconnect_timer = 0;
  absl::StatusOr<Descriptor> socket = ConnectTo(domains_directory_.get(), SocketName(id));
  if (!socket.ok()) {
    ConnectLater(domain);
    return;
  }
  registry_.BeginDeclaration(id);
  grants_.BeginDeclaration(id);
  nics_.BeginDeclaration(id);
  domain.connection = std::make_unique<Connection>(
      loop_, *std::move(socket),
      Connection::Handlers{
          .message = [this, &domain](Message message) { OnMessage(domain, std::move(message)); },
          .next = [this, &domain] { return withholding_keys_ ? std::nullopt : domain.feed.Next(); },
          .paused =
              [this, &domain] {
                Judge(domain,
                      absl::ResourceExhaustedError("sends too many messages, and waits for its turn"));
              },
          .closed = [this, id](const std::string& reason,
                               bool violation) { OnClosed(id, reason, violation); }});
  domain.connection->Send(Message{.type = WireType::kHello, .number = id, .a = kWireVersion});
}

void ProcessHypervisor::ConnectLater(Domain& domain) {
  const DomainId id = domain.record.id;
  domain.reconnect_timer = loop_.After(domain.backoff, [this, id] { Connect(id); });
  domain.backoff = std::min(domain.backoff * 2, kMaxBackoff);
}

void ProcessHypervisor::OnClosed(DomainId id, const std::string& reason, bool violation) {
  Domain& domain = *Find(id);
  // A connection that lasted earns a quick reconnection; one that keeps being closed does not.
  if (domain.declared && EventLoop::Monotonic() - domain.declared_at > kMaxBackoff)
    domain.backoff = kMinBackoff;
  domain.connection.reset();
  domain.declared = false;
  domain.feed.Clear();
  registry_.DropWatches(id);
  for (auto& [owner_id, owner] : domains_) {
    auto& parked = owner->parked;
    parked.erase(
        std::remove_if(parked.begin(), parked.end(), [id](const auto& item) { return item.requester == id; }),
        parked.end());
  }
  ConnectLater(domain);
  if (violation) Judge(domain, absl::InvalidArgumentError(absl::StrCat("disconnected: ", reason)));
}

void ProcessHypervisor::Judge(Domain& domain, const absl::Status& status) {
  if (status.ok()) return;
  ++domain.violations;
  ++domain.unreported_violations;
  const absl::Duration now = EventLoop::Monotonic();
  // A hostile domain must not fill the log either.
  if (observer_ == nullptr || now - domain.last_report < kReportInterval) return;
  domain.last_report = now;
  const uint64_t more = std::exchange(domain.unreported_violations, 0) - 1;
  observer_->OnDomainViolation(
      domain.record.id,
      absl::StrCat(status.message(), more == 0 ? "" : absl::StrCat(" (and ", more, " more)")));
}

void ProcessHypervisor::OnMessage(Domain& domain, Message message) {
  const DomainId id = domain.record.id;
  switch (message.type) {
    case WireType::kPublish:
      Judge(domain, registry_.Write(id, message.path, message.value));
      break;
    case WireType::kRemove:
      Judge(domain, registry_.Remove(id, message.path));
      break;
    case WireType::kWatch:
      OnWatch(domain, message.path);
      break;
    case WireType::kUnwatch:
      registry_.RemoveWatch(id, message.path);
      domain.feed.Unwatch(message.path);
      break;
    case WireType::kGrant:
      if (message.number == domain.page_ref) domain.page.reset();
      Judge(domain, grants_.Grant(id, message.number, message.a, message.b == 1, message.descriptors[0]));
      break;
    case WireType::kRevoke:
      if (message.number == domain.page_ref) domain.page.reset();
      grants_.Revoke(id, message.number);
      break;
    case WireType::kOffer:
      Judge(domain,
            grants_.Offer(id, message.number, message.a, {message.descriptors[0], message.descriptors[1]}));
      break;
    case WireType::kClosePort:
      grants_.ClosePort(id, message.number);
      break;
    case WireType::kMap:
    case WireType::kBind:
      OnRequest(domain, std::move(message));
      break;
    case WireType::kReturnDevice:
      OnReturned(domain, message.path, message.number, kReturnPatience);
      break;
    case WireType::kHolding:
      Judge(domain, nics_.Held(message.path, id, domain.record.kind, message.number, message.descriptors[0]));
      break;
    case WireType::kDeclared:
      OnDeclared(domain);
      break;
    default:
      break;  // DecodeFromDomain lets no other through.
  }
}

void ProcessHypervisor::OnWatch(Domain& domain, const std::string& path) {
  absl::Status status = registry_.AddWatch(domain.record.id, path);
  Judge(domain, status);
  if (!status.ok()) return;
  domain.feed.Watch(path);
  domain.connection->Flush();
}

void ProcessHypervisor::OnReturned(Domain& domain, const std::string& nic, uint32_t giving,
                                   absl::Duration patience) {
  const DomainId id = domain.record.id;
  const bool first = patience == kReturnPatience;
  const absl::StatusOr<bool> returned = nics_.Returned(nic, id, giving, [&](const std::string& interface) {
    const TapUse use = UseOfTap(domain.record.pid, interface);
    const bool all_sent = domain.connection == nullptr || domain.connection->sent_all();
    return use == TapUse::kNone && !all_sent ? TapUse::kUnread : use;
  });
  if (returned.ok()) {
    domain.returning.erase({nic, giving});
    if (*returned && observer_ != nullptr) observer_->OnDeviceReturned(id, nic);
    return;
  }
  if (first && !domain.returning.insert({nic, giving}).second) return;
  if (first && absl::IsPermissionDenied(returned.status())) Judge(domain, returned.status());
  loop_.After(patience, [this, exists = std::weak_ptr<bool>(exists_), id, nic, giving, patience] {
    Domain* const again = exists.expired() ? nullptr : Find(id);
    if (again != nullptr) OnReturned(*again, nic, giving, std::min(2 * patience, kMaxBackoff));
  });
}

void ProcessHypervisor::OnDeclared(Domain& domain) {
  if (domain.declared) {
    domain.connection->Break("declared twice on one connection", true);
    return;
  }
  const DomainId id = domain.record.id;
  domain.declared = domain.ever_declared = true;
  domain.declared_at = EventLoop::Monotonic();
  registry_.EndDeclaration(id);
  grants_.EndDeclaration(id);
  for (const std::string& nic : nics_.EndDeclaration(id)) domain.connection->Send(nics_.DeviceMessage(nic));
  AnswerParked(std::exchange(domain.parked, {}));
  WatchLife(domain);
  TellOfKeysWhenComplete();
  if (observer_ != nullptr) observer_->OnDomainConnected(id);
}

void ProcessHypervisor::OnRequest(Domain& requester, Message request) {
  const DomainId id = requester.record.id;
  Domain* owner = Find(request.a);
  if (owner == nullptr || owner->declared) {
    requester.connection->Send(Answer(requester, request));
    return;
  }
  // What it offers is not known yet: keys of a domain come before its grants.
  const auto waiting = std::count_if(owner->parked.begin(), owner->parked.end(),
                                     [id](const Domain::Parked& item) { return item.requester == id; });
  if (static_cast<size_t>(waiting) >= kMaxParked) {
    requester.connection->Send(ReplyTo(request, absl::ResourceExhaustedError("too many requests wait")));
    return;
  }
  owner->parked.push_back({id, std::move(request)});
}

void ProcessHypervisor::AnswerParked(std::vector<Domain::Parked> parked) {
  for (const Domain::Parked& item : parked) {
    Domain* requester = Find(item.requester);
    if (requester != nullptr && requester->connection != nullptr) {
      requester->connection->Send(Answer(*requester, item.request));
    }
  }
}

Message ProcessHypervisor::Answer(const Domain& requester, const Message& request) const {
  const DomainId id = requester.record.id;
  if (request.type == WireType::kMap) {
    absl::StatusOr<Grants::Memory> memory = grants_.Map(id, request.a, request.number, request.b == 1);
    Message reply = ReplyTo(request, memory.status());
    if (memory.ok()) {
      reply.b = memory->bytes;
      reply.descriptors = {memory->descriptor};
    }
    return reply;
  }
  absl::StatusOr<Grants::Doorbell> doorbell = grants_.Bind(id, request.a, request.number);
  Message reply = ReplyTo(request, doorbell.status());
  if (doorbell.ok()) reply.descriptors = {(*doorbell)[0], (*doorbell)[1]};
  return reply;
}

}  // namespace librettos::process
