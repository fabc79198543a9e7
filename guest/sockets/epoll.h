// Waiting for many sockets at the cost of those that are ready: each watch is on its epoll's ready list from
// the event on until a Wait finds it not ready any more (level-triggered) or has reported it
// (edge-triggered).
#pragma once

#include "guest/sockets/socket.h"

namespace librettos::sockets {

class EpollSet;

struct Watch {
  EpollSet* set;
  SocketBase* socket;
  int number;
  uint32_t events;
  uint64_t data;
  Watch* next_of_socket;
  Watch* next_of_set;
  Watch* previous_of_set;
  Watch* next_ready;
  Watch* previous_ready;
  bool ready;
};

void Epoll_Notify(Watch* watch, uint32_t events);
void Epoll_Drop(Watch* watch);  // Takes it out of everything and frees it.

}  // namespace librettos::sockets
