#include "netserver/guest_table.h"

#include <new>

namespace librettos::netserver {

bool GuestIdentity::Parse(std::string_view text, GuestIdentity& out) {
  out = {};
  std::string_view mac = NextWord(text), kind = NextWord(text);
  if (!ParseMac(mac, out.mac) || IsMulticast(out.mac)) return false;
  if (kind != "shared" && kind != "dedicated") return false;
  out.shared = kind == "shared";
  return ParseAddressList(text, out.addresses);
}

GuestTable::GuestTable() = default;

GuestTable::~GuestTable() {
  for (Guest* guest : guests_) delete guest;
}

bool GuestTable::Conflicts(const GuestIdentity& identity, const Guest* except) const {
  if (identity.shared) return false;
  auto taken = [except](Guest* guest) { return guest && guest != except; };
  if (taken(FindMac(identity.mac))) return true;
  for (uint32_t i = 0; i < identity.addresses.count; ++i) {
    if (taken(FindAddress(identity.addresses.items[i]))) return true;
  }
  return false;
}

Result<Guest*> GuestTable::Add(DomainId id, const GuestIdentity& identity) {
  if (Find(id) || Conflicts(identity, nullptr)) return Error::kInUse;
  for (uint32_t slot = 0; slot < kMaxGuests; ++slot) {
    if (guests_[slot]) continue;
    Guest* guest = new (std::nothrow) Guest;
    if (!guest) return Error::kExhausted;
    guest->id = id;
    guest->slot = slot;
    guest->identity = identity;
    guest->link_local = LinkLocal(identity.mac);
    for (uint32_t i = 0; i < guest->pairs.size(); ++i) {
      guest->pairs[i].guest = guest;
      guest->pairs[i].index = i;
    }
    guests_[slot] = guest;
    ++count_;
    Rebuild();
    return guest;
  }
  return Error::kExhausted;
}

Status GuestTable::Change(Guest* guest, const GuestIdentity& identity) {
  if (Conflicts(identity, guest)) return Error::kInUse;
  guest->identity = identity;
  guest->link_local = LinkLocal(identity.mac);
  Rebuild();
  return {};
}

void GuestTable::Remove(Guest* guest) {
  guests_[guest->slot] = nullptr;
  --count_;
  delete guest;
  Rebuild();
}

Guest* GuestTable::Find(DomainId id) const {
  for (uint32_t i = 0; i < limit_; ++i) {
    if (guests_[i] && guests_[i]->id == id) return guests_[i];
  }
  return nullptr;
}

Guest* GuestTable::FindMac(const MacAddress& mac) const { return Lookup(MacKey(mac)); }

Guest* GuestTable::FindAddress(const Address& address) const { return Lookup(address); }

namespace {

uint32_t Hash(const Address& key) {
  uint64_t mixed = (key.high * 0x9e3779b97f4a7c15 ^ key.low) * 0xd6e8feb86659fd93;
  return static_cast<uint32_t>(mixed >> 32);
}

}  // namespace

Guest* GuestTable::Lookup(const Address& key) const {
  for (uint32_t i = Hash(key) % kIndexSize;; i = (i + 1) % kIndexSize) {
    if (!index_[i].guest || index_[i].key == key) return index_[i].guest;
  }
}

void GuestTable::Insert(const Address& key, Guest* guest) {
  uint32_t i = Hash(key) % kIndexSize;
  while (index_[i].guest) {
    if (index_[i].key == key) return;
    i = (i + 1) % kIndexSize;
  }
  index_[i] = {key, guest};
}

void GuestTable::Rebuild() {
  index_.fill({});
  limit_ = 0;
  for (uint32_t slot = 0; slot < kMaxGuests; ++slot) {
    Guest* guest = guests_[slot];
    if (!guest) continue;
    limit_ = slot + 1;
    if (guest->shared()) continue;
    Insert(MacKey(guest->identity.mac), guest);
    Insert(guest->link_local, guest);
    for (uint32_t i = 0; i < guest->identity.addresses.count; ++i)
      Insert(guest->identity.addresses.items[i], guest);
  }
}

}  // namespace librettos::netserver
