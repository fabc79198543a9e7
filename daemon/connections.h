// The registry keys through which guests and network servers find each other (docs/protocols.md, Registry).
// Loop thread only; all calls are idempotent.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "daemon/model.h"
#include "hypervisor/hypervisor.h"

namespace librettos::daemon {

std::string DomainPath(uint32_t domain);

class Connections {
 public:
  Connections(hypervisor::Hypervisor& hypervisor, Model& model) : hypervisor_(hypervisor), model_(model) {}

  // Writes all keys that a domain itself has, and connects it with all it is to be connected with.
  void WriteServerKeys(const ServerRecord& server, uint32_t domain, const std::string& role);
  void WriteGuestKeys(const GuestRecord& guest);
  void WriteRole(uint32_t domain, const std::string& role);
  // Removes a dead domain's subtree and what others have about it.
  void ForgetServer(const ServerRecord& server, uint32_t domain);
  void ForgetGuest(const GuestRecord& guest, uint32_t domain);

  // Domains of the server that guests are to be connected to, the active one first.
  static std::vector<uint32_t> DomainsOf(const ServerRecord& server);
  // Addresses as the registry has them; of a shared guest, its server's.
  std::string AddressesOf(const GuestRecord& guest) const;
  // Empty while it is not known (a shared guest whose NIC was never open).
  std::string MacOf(const GuestRecord& guest) const;
  uint32_t MtuOf(const GuestRecord& guest) const;

 private:
  void Connect(const GuestRecord& guest, uint32_t server_domain);
  const NicRecord* NicOf(const GuestRecord& guest) const;

  hypervisor::Hypervisor& hypervisor_;
  Model& model_;
};

bool IsShared(const GuestRecord& guest);

}  // namespace librettos::daemon
