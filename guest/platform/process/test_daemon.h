// Plays the daemon to ProcessPlatforms in one process, over real SOCK_SEQPACKET sockets, for unit tests.
//
// Nothing is answered by itself but what Serve() does; a test sees every message of a domain and sends what
// it likes.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "guest/platform/process/process_platform.h"

namespace librettos::process {

struct Packet {
  WireHeader header{};
  std::string path;
  std::string value;
  std::vector<Descriptor> descriptors;
  WireType type() const { return static_cast<WireType>(header.type); }
};

// A listening control socket in a directory of its own.
class ListeningSocket {
 public:
  ListeningSocket();
  ~ListeningSocket();
  Descriptor Take() { return std::move(listening_); }
  Descriptor Connect() const;

 private:
  std::string directory_;
  std::string path_;
  Descriptor listening_;
};

// One connection of a daemon to one domain.
class TestDaemon {
 public:
  explicit TestDaemon(Descriptor connection) : connection_(std::move(connection)) {}
  void Hello(DomainId id, uint32_t version = kWireVersion);
  bool Send(const OutMessage& message);
  bool SendRaw(const void* bytes, size_t length, std::vector<int> descriptors = {});
  void Key(std::string_view path, std::string_view value);
  void Gone(std::string_view path);
  void Synced(std::string_view path);
  // The next message; nothing if there is none now.
  std::optional<Packet> Receive();
  // The domain closed the connection.
  bool Closed();
  int fd() const { return connection_.get(); }
  void Close() { connection_.Reset(); }

 private:
  Descriptor connection_;
};

// A platform with a connected daemon that said hello. All is single-threaded: Turn() lets the domain work
// until it is idle.
class Domain {
 public:
  explicit Domain(DomainId id, const char* files = "/nonexistent");
  void Turn();
  // A new connection, with hello; the old one stays with whoever has it.
  std::unique_ptr<TestDaemon> Connect();
  // All messages that the domain has sent, after letting it work.
  std::vector<Packet> Messages();
  std::vector<Packet> Messages(TestDaemon& daemon);
  ProcessPlatform& platform() { return *platform_; }

  std::unique_ptr<TestDaemon> daemon;

 private:
  DomainId id_;
  ListeningSocket socket_;
  std::unique_ptr<ProcessPlatform> platform_;
};

// Of a list of messages, those of one type.
std::vector<Packet> Only(std::vector<Packet> messages, WireType type);

}  // namespace librettos::process
