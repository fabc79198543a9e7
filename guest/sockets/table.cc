#include "guest/sockets/table.h"

namespace librettos::sockets {

namespace {
SocketBase* table[kMaxSockets];
// One bit for each number in use: the lowest free one is found in kMaxSockets / 64 steps at most.
uint64_t used[kMaxSockets / 64];
}  // namespace

SocketBase* Lookup(int number) { return number >= 0 && number < kMaxSockets ? table[number] : nullptr; }

int Insert(SocketBase* socket) {
  for (int word = 0; word < kMaxSockets / 64; word++) {
    if (used[word] == ~uint64_t{0}) continue;
    int bit = __builtin_ctzll(~used[word]);
    used[word] |= uint64_t{1} << bit;
    table[word * 64 + bit] = socket;
    return word * 64 + bit;
  }
  return -1;
}

void Erase(int number) {
  table[number] = nullptr;
  used[number / 64] &= ~(uint64_t{1} << (number % 64));
}

}  // namespace librettos::sockets
