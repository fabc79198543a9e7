#include "guest/platform/process/event_port.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

namespace librettos::process {
Ports::~Ports() {
  for (ProcessPort* port : ports_) delete port;
}

Result<EventPort*> Ports::Offer(DomainId peer) {
  Descriptor incoming(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  Descriptor outgoing(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!incoming.valid() || !outgoing.valid()) return Error::kExhausted;
  auto* port = new ProcessPort(*this, true, next_port_++, peer, std::move(incoming), std::move(outgoing));
  ports_.push_back(port);
  port->Declare();
  return static_cast<EventPort*>(port);
}

void Ports::Bind(uint32_t id, DomainId owner, PortNumber port, BindObserver* observer) {
  const Pending pending{owner, port, observer};
  pending_[id] = pending;
  Request(id, pending);
}

void Ports::Request(uint32_t id, const Pending& pending) {
  control_.Send({.type = WireType::kBind, .id = id, .number = pending.port, .a = pending.owner});
}

void Ports::Cancel(BindObserver* observer) {
  std::erase_if(pending_, [&](const auto& entry) { return entry.second.observer == observer; });
}

void Ports::Redeclare() {
  for (ProcessPort* port : ports_) port->Declare();
  for (const auto& [id, pending] : pending_) Request(id, pending);
}

void Ports::OnReply(InMessage& message) {
  const auto found = pending_.find(message.header.id);
  if (found == pending_.end()) return;
  const Pending pending = found->second;
  pending_.erase(found);
  if (message.header.a > static_cast<uint32_t>(Error::kUnsupported)) {
    pending.observer->OnBound(Error::kProtocol);
  } else if (message.header.a != 0) {
    pending.observer->OnBound(static_cast<Error>(message.header.a));
  } else {
    pending.observer->OnBound(Accept(pending, message));
  }
}

Result<EventPort*> Ports::Accept(const Pending& pending, InMessage& message) {
  for (const Descriptor& descriptor : message.descriptors) {
    if (!descriptor.valid() || !(fcntl(descriptor.get(), F_GETFL) & O_NONBLOCK)) return Error::kProtocol;
  }
  auto* port = new ProcessPort(*this, false, pending.port, pending.owner, std::move(message.descriptors[1]),
                               std::move(message.descriptors[0]));
  ports_.push_back(port);
  return static_cast<EventPort*>(port);
}

ProcessPort::~ProcessPort() {
  if (handler_ && !broken_) ports_.loop_.Remove(incoming_.get());
}

void ProcessPort::Declare() {
  if (!offered_) return;
  ports_.control_.Send({.type = WireType::kOffer,
                        .number = number_,
                        .a = peer_,
                        .descriptors = {incoming_.get(), outgoing_.get()}});
}

void ProcessPort::Signal() {
  const uint64_t one = 1;
  // EAGAIN: the counter is full, which is signal enough.
  (void)!write(outgoing_.get(), &one, sizeof(one));
}

void ProcessPort::SetHandler(Handler* handler) {
  if (handler && !handler_ && !broken_ && !ports_.loop_.Add(incoming_.get(), EPOLLIN, this).ok()) {
    Log("event port: cannot be watched");
    broken_ = true;
  }
  if (!handler && handler_ && !broken_) ports_.loop_.Remove(incoming_.get());
  handler_ = handler;
}

void ProcessPort::OnEvent() {
  uint64_t signals;
  const ssize_t got = read(incoming_.get(), &signals, sizeof(signals));
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got != sizeof(signals)) {
    Log("event port: what the peer offered is no doorbell; closed");
    ports_.loop_.Remove(incoming_.get());
    broken_ = true;
    return;
  }
  handler_->OnEvent();
}

void ProcessPort::Close() {
  if (offered_) ports_.control_.Send({.type = WireType::kClosePort, .number = number_});
  std::erase(ports_.ports_, this);
  delete this;
}

}  // namespace librettos::process
