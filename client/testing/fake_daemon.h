// A daemon for tests of the client: the real services on a real unix socket, over a scripted state instead of
// domains.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "google/protobuf/message.h"
#include "librettos/v1/channel.pb.h"
#include "librettos/v1/statistics.pb.h"

namespace librettos {

class FakeDaemon {
 public:
  // Serves on a socket in a directory of its own.
  FakeDaemon();
  ~FakeDaemon();

  const std::string& socket() const { return socket_; }

  // Stops serving at once; the state stays. Serve starts again on the same socket.
  void Stop();
  void Serve();

  // The present state of a resource, by name: created or changed, and told to watchers.
  void Put(const v1::NetworkServer& server);
  void Put(const v1::Guest& guest);
  void Put(const v1::Nic& nic);
  void Put(const v1::Operation& operation);
  void Put(const v1::Channel& channel);
  void Remove(const std::string& name);
  void SetStatistics(const v1::GetStatisticsResponse& statistics);
  // A resource takes this state as soon as it was created, failed, or (operations) waited for.
  void Then(const v1::NetworkServer& server);
  void Then(const v1::Guest& guest);
  void Then(const v1::Operation& operation);

  // The next call of `method` ("CreateGuest") fails with this; one failure per call of this.
  void FailNext(const std::string& method, absl::Status status);
  // The operation that SetGuestMode and UpgradeNetworkServer return.
  void SetOperation(const v1::Operation& operation);
  // Resources per page of a list; the default is as many as there are.
  void SetPageSize(int size);
  // Lists give the same page token for ever.
  void SetPageTokenStuck(bool stuck);

  // The latest request of `method` as text ("" if none), and how often it was called.
  std::string Request(const std::string& method);
  int Calls(const std::string& method);
  // Waits until so many watches are open.
  void AwaitWatches(int count);

 private:
  class Services;
  std::string directory_;
  std::string socket_;
  std::unique_ptr<Services> services_;
};

}  // namespace librettos
