// A guest's stack, its network servers, their NIC, a NIC of the guest's own and the wire, all as they are but
// for the platform and the NICs, which are the fakes. A test says what happens next, one turn of one domain
// at a time.
//
// The wire is a bridge with a peer on it: it learns by which NIC the guest's MAC speaks, and sends there.
// Both sides send numbered datagrams; `wrong()` says whether one was lost, repeated or came out of order when
// it must not.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "drivers/net/testing/fake_nic.h"
#include "guest/net/testing/test_world.h"
#include "guest/platform/testing/fake_platform.h"
#include "netserver/server.h"

namespace librettos::test {

// One thing that happens.
enum class Act : char {
  kGuestSends = 'g',  // And turns.
  kGuestTurns = 't',
  kServerTurns = 's',
  kPeerSends = 'p',
  kClock = 'a',  // 25 ms pass, and the guest turns.
  kServerDies = 'y',
  kServerDiesInEffect = 'x',  // Once it has handed frames to its NIC, before it consumes them.
  kChange = 'm',              // The daemon asks for the other mode.
  kDaemonDies = 'd',          // Or comes back, and tells all anew.
};

class ModeWorld {
 public:
  struct Options {
    int deaths = 2;   // At most.
    int changes = 2;  // At most.
    bool standby = true;
  };
  explicit ModeWorld(const Options& options);
  ~ModeWorld();
  ModeWorld(const ModeWorld&) = delete;

  void Do(Act act);
  void Do(std::string_view acts) {
    for (char act : acts) Do(static_cast<Act>(act));
  }
  // All go on, without another death or request, until the last change is over and everything has arrived.
  // False: that does not happen.
  bool Settle();
  // Empty: nothing.
  const std::string& wrong() const { return wrong_; }
  std::string Mode() const { return world_.Read("/local/domain/1/data/mode").value_or(""); }
  std::string Story() const;

 private:
  static constexpr DomainId kGuest = 1;

  static constexpr size_t kLatency = 3;
  struct UnderWay {
    size_t arrives;  // When so many acts have been done.
    fake::FakeNic* at;
    std::vector<std::byte> frame;
  };

  void AddServer();
  void Activate();
  void Bury();  // The active server has died.
  void TurnPlatform(DomainId id);
  void TurnGuest();
  void Wire();
  void Arrive(bool all);
  void Collect(fake::FakeNic& nic, fake::FakeNic* location);
  void TakeReceived();
  void TakeReturned();
  bool Over() const;
  void Wrong(const std::string& what);

  const Options options_;
  fake::FakeWorld world_;
  fake::FakeNic server_nic_{MacAddress{2, 0, 0, 0, 0, 0xff}}, own_nic_{MacAddress{2, 0, 0, 0, 0, 1}};
  fake::FakeNic* location_ = &server_nic_;  // Where the bridge has seen the guest's MAC.
  std::unique_ptr<netserver::Server> active_, standby_;
  DomainId active_id_ = 0, standby_id_ = 0, next_id_ = 100;
  uint32_t epoch_ = 0;
  bool daemon_ = true;
  bool dies_ = false;  // With the next effect.
  int deaths_ = 0, changes_ = 0;
  bool lent_ = false;  // The guest has its own NIC.
  int socket_ = -1;
  int guest_sent_ = 0, peer_sent_ = 0;
  int peer_got_ = 0;      // All up to here.
  int peer_repeats_ = 0;  // A server's death allows these, from here on.
  std::vector<bool> guest_got_;
  std::deque<UnderWay> under_way_;
  std::string acts_, wrong_;
};

}  // namespace librettos::test
