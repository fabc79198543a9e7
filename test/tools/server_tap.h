// A platform that remembers what a server maps of its guests, which doorbells it has, its statistics page,
// and whether it is healthy, so that a test program can do to its guests what a server would not. All else
// goes to the real one. Single-threaded.
#pragma once

#include <list>
#include <string_view>
#include <vector>

#include "guest/platform/platform.h"

namespace librettos::test {

class ServerTap final : public Platform, private Registry {
 public:
  explicit ServerTap(Platform& real) : real_(real) {}

  // Of guests: all that is mapped and bound now.
  std::vector<std::span<std::byte>> Memories() const {
    std::vector<std::span<std::byte>> all;
    for (const TappedMapping* mapping : mappings_) all.push_back(mapping->real->bytes());
    return all;
  }
  const std::list<EventPort*>& ports() const { return ports_; }
  std::span<std::byte> statistics() const {
    return statistics_ ? statistics_->bytes() : std::span<std::byte>();
  }
  bool healthy() const { return healthy_; }

  DomainId self() const override { return real_.self(); }
  std::span<const std::string_view> arguments() const override { return real_.arguments(); }
  Loop& loop() override { return real_.loop(); }
  Registry& registry() override { return *this; }
  Devices& devices() override { return real_.devices(); }
  Files& files() override { return real_.files(); }
  Result<Region*> Allocate(size_t bytes) override {
    Result<Region*> region = real_.Allocate(bytes);
    if (region.ok() && !statistics_) statistics_ = *region;
    return region;
  }
  void Map(DomainId owner, GrantRef ref, size_t bytes, bool writable, MapObserver* observer) override {
    real_.Map(owner, ref, bytes, writable, AskedFor(requests_, observer));
  }
  Result<EventPort*> Offer(DomainId peer) override { return real_.Offer(peer); }
  void Bind(DomainId owner, PortNumber port, BindObserver* observer) override {
    real_.Bind(owner, port, AskedFor(binds_, observer));
  }
  void Cancel(MapObserver* observer) override { CancelIn(requests_, observer); }
  void Cancel(BindObserver* observer) override { CancelIn(binds_, observer); }
  Cpus& cpus() override { return real_.cpus(); }

 private:
  struct TappedMapping final : Mapping {
    std::span<std::byte> bytes() override { return real->bytes(); }
    void Unmap() override {
      tap->mappings_.remove(this);
      real->Unmap();
      delete this;
    }
    ServerTap* tap;
    Mapping* real;
  };
  struct TappedPort final : EventPort {
    PortNumber number() const override { return real->number(); }
    void Signal() override { real->Signal(); }
    void SetHandler(Handler* handler) override { real->SetHandler(handler); }
    void Close() override {
      tap->ports_.remove(this);
      real->Close();
      delete this;
    }
    ServerTap* tap;
    EventPort* real;
  };
  // An answer that is under way, or was given: they are few.
  struct Request final : MapObserver {
    void OnMapped(Result<Mapping*> mapping) override {
      if (!mapping.ok()) return observer->OnMapped(mapping);
      observer->OnMapped(static_cast<Mapping*>(tap->Tapped<TappedMapping>(*mapping, tap->mappings_)));
    }
    ServerTap* tap;
    MapObserver* observer;
  };
  struct Binding final : BindObserver {
    void OnBound(Result<EventPort*> port) override {
      if (!port.ok()) return observer->OnBound(port);
      observer->OnBound(static_cast<EventPort*>(tap->Tapped<TappedPort>(*port, tap->ports_)));
    }
    ServerTap* tap;
    BindObserver* observer;
  };
  // The observer to give to the real platform for one of the server's.
  template <class List, class Observer>
  typename List::pointer AskedFor(List& list, Observer* observer) {
    auto& item = list.emplace_back();
    item.tap = this;
    item.observer = observer;
    return &item;
  }
  // What the server gets for what the real platform gave.
  template <class Kind, class Real, class List>
  Kind* Tapped(Real* real, List& list) {
    auto* tapped = new Kind;
    tapped->tap = this;
    tapped->real = real;
    list.push_back(tapped);
    return tapped;
  }
  template <class List, class Observer>
  void CancelIn(List& list, Observer* observer) {
    for (auto& item : list) {
      if (item.observer == observer) real_.Cancel(&item);
    }
  }

  Status Publish(std::string_view path, std::string_view value) override {
    healthy_ = healthy_ || path.ends_with("/data/healthy");
    return real_.registry().Publish(path, value);
  }
  void Remove(std::string_view path) override { real_.registry().Remove(path); }
  Status Watch(std::string_view path, RegistryObserver* observer) override {
    return real_.registry().Watch(path, observer);
  }
  void Unwatch(std::string_view path, RegistryObserver* observer) override {
    real_.registry().Unwatch(path, observer);
  }

  Platform& real_;
  std::list<Request> requests_;
  std::list<Binding> binds_;
  std::list<TappedMapping*> mappings_;
  std::list<EventPort*> ports_;
  Region* statistics_ = nullptr;
  bool healthy_ = false;
};

}  // namespace librettos::test
