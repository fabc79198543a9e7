// BSD sockets over the guest's own stack: the calls, names and error meanings of POSIX, as Result instead of
// errno.
//
// Single-threaded: one program uses them, on the guest's loop or, in RunProgram, on another CPU. All calls
// are non-blocking (kAgain) but Bind and Connect on an address that guests share, which may turn the loop for
// up to 2 s while the server decides about the port lease. Poll and Epoll::Wait turn the stack: frames are
// received, timers run. An application is a loop around one of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "guest/platform/platform.h"

namespace librettos::sockets {

enum class Family : uint8_t { kIpv4, kIpv6 };
enum class Type : uint8_t { kStream, kDatagram };

struct Address {
  Family family = Family::kIpv4;
  uint8_t bytes[16] = {};  // Network order; IPv4 in the first 4.
  uint16_t port = 0;       // Host order.
  uint32_t scope = 0;      // IPv6 zone; 0: the one interface.

  static Address Any(Family family, uint16_t port);
  // "10.1.0.5", "fd00::5".
  static Result<Address> Parse(std::string_view text, uint16_t port);
};

enum class Option : uint8_t { kReuseAddress, kNoDelay, kKeepAlive, kIpv6Only };

// Events as for poll(2).
enum Event : uint32_t {
  kIn = 1 << 0,   // Readable, acceptable, or the peer has closed.
  kOut = 1 << 2,  // Writable, or connected.
  kErr = 1 << 3,  // SocketError() tells. Always reported.
  kHup = 1 << 4,  // Both directions are closed. Always reported.
  kRdHup = 1 << 13,
  kEdge = 1u << 31,  // Epoll only: edge-triggered.
};

Result<int> Socket(Family family, Type type);
Status Bind(int socket, const Address& address);  // kInUse: taken here or leased by another guest.
Status Listen(int socket, int backlog);
Result<int> Accept(int socket, Address* peer);    // kAgain: none waiting.
Status Connect(int socket, const Address& peer);  // kAgain: under way; kOut or kErr tells the end of it.
Result<size_t> Send(int socket,
                    std::span<const std::byte> data);  // May send a part. kUnavailable: connection is gone.
Result<size_t> Receive(int socket, std::span<std::byte> out);  // 0: the peer has closed.
Result<size_t> SendTo(int socket, std::span<const std::byte> data, const Address& peer);  // Whole datagram.
Result<size_t> ReceiveFrom(int socket, std::span<std::byte> out,
                           Address* peer);  // Rest of a longer datagram is dropped.
Status ShutdownWrite(int socket);
void Close(int socket);
Result<Address> LocalAddress(int socket);
Result<Address> PeerAddress(int socket);
Status SetOption(int socket, Option option, bool on);
Error SocketError(int socket);  // And clears it.

struct PollItem {
  int socket;
  uint32_t events;
  uint32_t returned;
};
// Number of items with events, 0 after `deadline` (a value of Now()).
size_t Poll(std::span<PollItem> items, Nanoseconds deadline);

struct EpollEvent {
  uint32_t events;
  uint64_t data;
};

class Epoll {
 public:
  static Result<Epoll*> Create();
  virtual ~Epoll() = default;
  virtual Status Add(int socket, uint32_t events, uint64_t data) = 0;
  virtual Status Modify(int socket, uint32_t events, uint64_t data) = 0;
  virtual Status Remove(int socket) = 0;  // Close removes by itself.
  virtual size_t Wait(std::span<EpollEvent> out, Nanoseconds deadline) = 0;
};

// True once the domain is asked to end; loops return then.
bool Stopping();

// Brings the network up from the registry's configuration; called by guest/apps/main.cc before the
// application.
Status Start(Platform& platform);

class Program {
 public:
  virtual int Run() = 0;

 protected:
  ~Program() = default;
};
// Runs `program` and returns what it does: on the second CPU, if the domain has one, beside the stack, which
// then stays on the first. After Start, on the loop's CPU.
int RunProgram(Program& program);

}  // namespace librettos::sockets
