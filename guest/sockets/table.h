// Socket numbers.
#pragma once

#include "guest/sockets/socket.h"

namespace librettos::sockets {

inline constexpr int kMaxSockets = 16384;

SocketBase* Lookup(int number);  // nullptr: no such socket.
// The lowest free number; -1: too many sockets.
int Insert(SocketBase* socket);
void Erase(int number);

}  // namespace librettos::sockets
