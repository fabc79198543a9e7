// Doorbells between process domains.
//
// Two eventfds per port, one for each direction; the offering side keeps them to declare them to a new
// daemon.
//
// Trust: a peer shares the open files with us. It can make an event appear at any time and fill the counter,
// which costs us one call of the handler per round and nothing more. It must not be able to make them
// blocking (O_NONBLOCK belongs to the open file; a full, blocking eventfd would stop our loop in write()):
// the daemon checks that they are eventfds and sets the flag, and no sandboxed domain can change it
// (sandbox.h).
#pragma once

#include <map>
#include <vector>

#include "guest/platform/process/control.h"

namespace librettos::process {

class ProcessPort;

class Ports {
 public:
  Ports(ProcessLoop& loop, Control& control) : loop_(loop), control_(control) {}
  ~Ports();
  Result<EventPort*> Offer(DomainId peer);
  void Bind(uint32_t id, DomainId owner, PortNumber port, BindObserver* observer);
  void Cancel(BindObserver* observer);
  void Redeclare();
  void OnReply(InMessage& message);

 private:
  friend class ProcessPort;
  struct Pending {
    DomainId owner;
    PortNumber port;
    BindObserver* observer;
  };
  void Request(uint32_t id, const Pending& pending);
  Result<EventPort*> Accept(const Pending& pending, InMessage& message);

  ProcessLoop& loop_;
  Control& control_;
  PortNumber next_port_ = 1;
  std::map<uint32_t, Pending> pending_;
  std::vector<ProcessPort*> ports_;
};

class ProcessPort final : public EventPort, private Handler {
 public:
  // `incoming`: what the peer signals; `outgoing`: what it waits for.
  ProcessPort(Ports& ports, bool offered, PortNumber number, DomainId peer, Descriptor incoming,
              Descriptor outgoing)
      : ports_(ports),
        offered_(offered),
        number_(number),
        peer_(peer),
        incoming_(std::move(incoming)),
        outgoing_(std::move(outgoing)) {}
  ~ProcessPort();

  PortNumber number() const override { return number_; }
  void Signal() override;
  void SetHandler(Handler* handler) override;
  void Close() override;
  void Declare();

 private:
  void OnEvent() override;

  Ports& ports_;
  const bool offered_;
  const PortNumber number_;
  const DomainId peer_;
  Descriptor incoming_;
  Descriptor outgoing_;
  Handler* handler_ = nullptr;
  bool broken_ = false;  // No doorbell: it is not looked at any more.
};

}  // namespace librettos::process
