#include "guest/sockets/epoll.h"

#include <new>

#include "guest/sockets/call.h"
#include "guest/sockets/table.h"

namespace librettos::sockets {

class EpollSet final : public Epoll {
 public:
  ~EpollSet() override {
    Call call(Effect::kNone);
    while (all_) Epoll_Drop(all_);
  }
  Status Add(int socket, uint32_t events, uint64_t data) override;
  Status Modify(int socket, uint32_t events, uint64_t data) override;
  Status Remove(int socket) override;
  size_t Wait(std::span<EpollEvent> out, Nanoseconds deadline) override;

  void MakeReady(Watch* watch);
  void Unready(Watch* watch);
  void Unlink(Watch* watch);

 private:
  Watch* Find(int socket);
  size_t Collect(std::span<EpollEvent> out);
  Watch* all_ = nullptr;
  Watch* ready_head_ = nullptr;
  Watch* ready_tail_ = nullptr;
  size_t ready_count_ = 0;
};

void Epoll_Notify(Watch* watch, uint32_t events) {
  if (events & (watch->events | kErr | kHup)) watch->set->MakeReady(watch);
}

void Epoll_Drop(Watch* watch) {
  watch->set->Unready(watch);
  watch->set->Unlink(watch);
  for (Watch** at = &watch->socket->watches; *at; at = &(*at)->next_of_socket) {
    if (*at != watch) continue;
    *at = watch->next_of_socket;
    break;
  }
  delete watch;
}

void EpollSet::MakeReady(Watch* watch) {
  if (watch->ready) return;
  watch->ready = true;
  watch->next_ready = nullptr;
  watch->previous_ready = ready_tail_;
  (ready_tail_ ? ready_tail_->next_ready : ready_head_) = watch;
  ready_tail_ = watch;
  ready_count_++;
}

void EpollSet::Unready(Watch* watch) {
  if (!watch->ready) return;
  watch->ready = false;
  (watch->previous_ready ? watch->previous_ready->next_ready : ready_head_) = watch->next_ready;
  (watch->next_ready ? watch->next_ready->previous_ready : ready_tail_) = watch->previous_ready;
  ready_count_--;
}

void EpollSet::Unlink(Watch* watch) {
  (watch->previous_of_set ? watch->previous_of_set->next_of_set : all_) = watch->next_of_set;
  if (watch->next_of_set) watch->next_of_set->previous_of_set = watch->previous_of_set;
}

Watch* EpollSet::Find(int socket) {
  SocketBase* base = Lookup(socket);
  if (!base) return nullptr;
  for (Watch* watch = base->watches; watch; watch = watch->next_of_socket) {
    if (watch->set == this) return watch;
  }
  return nullptr;
}

Status EpollSet::Add(int socket, uint32_t events, uint64_t data) {
  Call call(Effect::kNone);
  SocketBase* base = Lookup(socket);
  if (!base) return Error::kNotFound;
  if (Find(socket)) return Error::kInUse;
  auto* watch = new (std::nothrow)
      Watch{this, base, socket, events, data, base->watches, all_, nullptr, nullptr, nullptr, false};
  if (!watch) return Error::kExhausted;
  base->watches = watch;
  if (all_) all_->previous_of_set = watch;
  all_ = watch;
  if (base->Readiness() & (events | kErr | kHup)) MakeReady(watch);
  return {};
}

Status EpollSet::Modify(int socket, uint32_t events, uint64_t data) {
  Call call(Effect::kNone);
  Watch* watch = Find(socket);
  if (!watch) return Error::kNotFound;
  watch->events = events;
  watch->data = data;
  // As with epoll(7): what is true now is reported again, edge-triggered or not.
  if (watch->socket->Readiness() & (events | kErr | kHup)) MakeReady(watch);
  return {};
}

Status EpollSet::Remove(int socket) {
  Call call(Effect::kNone);
  Watch* watch = Find(socket);
  if (!watch) return Error::kNotFound;
  Epoll_Drop(watch);
  return {};
}

size_t EpollSet::Collect(std::span<EpollEvent> out) {
  size_t count = 0;
  for (size_t left = ready_count_; left > 0 && count < out.size(); left--) {
    Watch* watch = ready_head_;
    Unready(watch);
    uint32_t events = watch->socket->Readiness() & (watch->events | kErr | kHup);
    if (events == 0) continue;
    out[count++] = {events, watch->data};
    if (!(watch->events & kEdge)) MakeReady(watch);  // To the end: everybody gets a turn.
  }
  return count;
}

size_t EpollSet::Wait(std::span<EpollEvent> out, Nanoseconds deadline) {
  Call call(Effect::kNone);
  guest::Stack* stack = call.stack();
  if (!stack || out.empty()) return 0;
  // Also when something is ready, the stack must turn: an application may never find nothing.
  if (!stack->sharing().shared()) stack->Turn(0);
  for (;;) {
    if (size_t count = Collect(out)) return count;
    if (Now() >= deadline || stack->platform().loop().stopping()) return 0;
    AwaitStack(*stack, deadline, Effect::kNone);
  }
}

Result<Epoll*> Epoll::Create() {
  Epoll* set = new (std::nothrow) EpollSet;
  if (!set) return Error::kExhausted;
  return set;
}

}  // namespace librettos::sockets
