// Servers with a NIC for the standby (docs/xen.md, NICs): the part of ServerReconciler that says which domain
// has which. A dead domain's NIC is free at once; when it can really be used is the hypervisor's matter.
#include "daemon/server_reconciler.h"

namespace librettos::daemon {

std::string ServerReconciler::FreeNic(const ServerRecord& record) {
  const v1::NetworkServerSpec& spec = record.resource().spec();
  for (const std::string& nic : {spec.nic(), spec.standby_nic()}) {
    bool taken = false;
    for (const DomainRecord* slot :
         {&record.active(), &record.standby(), &record.successor(), &record.previous()}) {
      taken = taken || slot->nic() == nic;
    }
    if (!taken) return nic;
  }
  return "";
}

void ServerReconciler::GiveAhead(const ServerRecord& record, DomainRecord& slot) {
  const v1::NetworkServerSpec& spec = record.resource().spec();
  if (spec.standby_nic().empty() || slot.id() == 0 || !slot.nic().empty()) return;
  const std::string nic = FreeNic(record);
  if (nic.empty()) return;
  slot.set_nic(nic);
  // Both have the first one's address, so that guests that share it keep theirs.
  const NicRecord* first = model_.FindNic(spec.nic());
  nics_.Give(nic, slot.id(), first == nullptr ? "" : first->mac());
}

void ServerReconciler::GiveForActivation(const ServerRecord& record, DomainRecord& domain) {
  if (record.resource().spec().standby_nic().empty()) {
    return nics_.Give(record.resource().spec().nic(), domain.id(), "");
  }
  GiveAhead(record, domain);
  if (!domain.nic().empty()) return;
  domain.set_nic(record.resource().spec().nic());  // It waits for whoever has it.
  nics_.Give(domain.nic(), domain.id(), "");
}

void ServerReconciler::GiveWhatIsFree(ServerRecord& record, Runtime& runtime) {
  for (DomainRecord* slot : {record.mutable_active(), record.mutable_standby(), record.mutable_successor()}) {
    auto domain = runtime.domains.find(slot->id());
    if (domain != runtime.domains.end() && !domain->second.destroying) GiveAhead(record, *slot);
  }
}

void ServerReconciler::WithdrawNics(const ServerRecord& record, uint32_t domain) {
  const v1::NetworkServerSpec& spec = record.resource().spec();
  nics_.Withdraw(spec.nic(), domain);
  if (!spec.standby_nic().empty()) nics_.Withdraw(spec.standby_nic(), domain);
}

}  // namespace librettos::daemon
