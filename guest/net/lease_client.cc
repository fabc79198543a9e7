#include "guest/net/lease_client.h"

#include <algorithm>

namespace librettos::guest {

using channel::ControlMessage;
using channel::ControlType;
using channel::LeaseStatus;

LeaseClient::Lease* LeaseClient::Held(uint8_t protocol, uint16_t port) {
  for (Lease& lease : leases_) {
    if (lease.state == State::kHeld && lease.protocol == protocol && lease.port == port) return &lease;
  }
  return nullptr;
}

LeaseClient::Lease* LeaseClient::ById(uint32_t id) {
  for (Lease& lease : leases_) {
    if (lease.state != State::kFree && lease.id == id) return &lease;
  }
  return nullptr;
}

bool LeaseClient::Send(Lease& lease, Nanoseconds now) {
  ControlMessage message = {};
  bool release = lease.state == State::kReleasing;
  message.type = static_cast<uint16_t>(release ? ControlType::kLeaseRelease : ControlType::kLeaseRequest);
  message.id = lease.id;
  message.protocol = lease.protocol;
  message.port = lease.port;
  if (release) {
    message.sequence = lease.sequence;
    message.token = lease.token;
  }
  lease.sent_at = now;
  return interface_.SendLease(message).ok();
}

Result<uint32_t> LeaseClient::Request(uint8_t protocol, uint16_t port) {
  if (port != 0) {
    for (Lease& lease : leases_) {
      if (lease.protocol != protocol || lease.port != port) continue;
      if (lease.state == State::kHeld) {
        lease.users++;
        return lease.id;
      }
      if (lease.state == State::kReleasing) {
        // Its release could overtake nothing, but a request now would; wait until it is out.
        if (!Send(lease, Now())) return Error::kExhausted;
        lease.state = State::kFree;
        asked_--;
      }
    }
  }
  for (Lease& lease : leases_) {
    if (lease.state != State::kFree) continue;
    lease = {};
    lease.state = State::kAsked;
    lease.protocol = protocol;
    lease.port = port;
    lease.id = next_id_++;
    asked_++;
    Send(lease, Now());  // A full ring: repeated by Tick.
    return lease.id;
  }
  return Error::kExhausted;
}

Result<uint16_t> LeaseClient::Answer(uint32_t request) {
  Lease* lease = ById(request);
  if (!lease) return Error::kNotFound;
  if (lease->state == State::kAsked) return Error::kAgain;
  if (lease->state == State::kHeld) return lease->port;
  lease->state = State::kFree;
  return lease->error;
}

void LeaseClient::Cancel(uint32_t request) {
  Lease* lease = ById(request);
  if (!lease) return;
  if (lease->state == State::kHeld) return Release(lease->protocol, lease->port);
  if (lease->state == State::kAsked) asked_--;
  lease->state = State::kFree;  // Should it still be granted, OnReply gives it back.
}

void LeaseClient::Retain(uint8_t protocol, uint16_t port) {
  if (Lease* lease = Held(protocol, port)) lease->users++;
}

void LeaseClient::Release(uint8_t protocol, uint16_t port) {
  Lease* lease = Held(protocol, port);
  if (!lease || --lease->users > 0) return;
  end_.WithdrawLease(protocol, port);
  lease->state = State::kReleasing;
  if (Send(*lease, Now())) {
    lease->state = State::kFree;
  } else {
    asked_++;
  }
  Count();
}

void LeaseClient::OnReply(const ControlMessage& message) {
  if (message.type != static_cast<uint16_t>(ControlType::kLeaseReply)) return;
  Lease* lease = ById(message.id);
  auto status = static_cast<LeaseStatus>(message.status);
  if (!lease || lease->state == State::kRefused || lease->state == State::kReleasing) {
    // Nobody waits for it any more. A port that is held by another request stays.
    if (status == LeaseStatus::kGranted && message.port != 0 && !Held(message.protocol, message.port)) {
      ControlMessage back = {};
      back.type = static_cast<uint16_t>(ControlType::kLeaseRelease);
      back.id = message.id;
      back.protocol = message.protocol;
      back.port = message.port;
      back.sequence = message.sequence;
      back.token = message.token;
      if (!interface_.SendLease(back).ok()) Log("net: a lease that nobody wants could not be given back");
    }
    return;
  }
  if (message.protocol != lease->protocol || (lease->port != 0 && message.port != lease->port)) return;
  if (lease->state == State::kHeld) {
    // Answered again after a change of servers: the newer grant is the one to declare.
    if (status != LeaseStatus::kGranted || message.sequence <= lease->sequence) return;
    end_.WithdrawLease(lease->protocol, lease->port);
  } else {
    asked_--;
    lease->users = 1;
  }
  if (status != LeaseStatus::kGranted || message.port == 0) {
    lease->state = State::kRefused;
    lease->error = status == LeaseStatus::kInUse       ? Error::kInUse
                   : status == LeaseStatus::kExhausted ? Error::kExhausted
                   : status == LeaseStatus::kNotShared ? Error::kUnsupported
                                                       : Error::kInvalidArgument;
    return;
  }
  lease->state = State::kHeld;
  lease->port = message.port;
  lease->sequence = message.sequence;
  lease->token = message.token;
  if (!end_.DeclareLease(lease->protocol, lease->port, lease->sequence, lease->token).ok()) {
    lease->users = 1;
    Release(lease->protocol, lease->port);
    lease->state = State::kRefused;
    lease->error = Error::kExhausted;
  }
  Count();
}

void LeaseClient::Count() {
  uint64_t held = 0;
  for (const Lease& lease : leases_) held += lease.state == State::kHeld;
  interface_.SetCounter(Counter::k_leases, held);
}

void LeaseClient::OnServerChanged() {
  for (Lease& lease : leases_) lease.sent_at = 0;
}

void LeaseClient::Tick(Nanoseconds now) {
  if (asked_ == 0) return;
  for (Lease& lease : leases_) {
    if (lease.state != State::kAsked && lease.state != State::kReleasing) continue;
    if (lease.sent_at != 0 && now < lease.sent_at + kRepeat) continue;
    if (Send(lease, now) && lease.state == State::kReleasing) {
      lease.state = State::kFree;
      asked_--;
    }
  }
}

Nanoseconds LeaseClient::next() const {
  if (asked_ == 0) return UINT64_MAX;
  Nanoseconds next = UINT64_MAX;
  for (const Lease& lease : leases_) {
    if (lease.state != State::kAsked && lease.state != State::kReleasing) continue;
    next = std::min(next, lease.sent_at + kRepeat);
  }
  return next;
}

}  // namespace librettos::guest
