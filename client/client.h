// Client of librettosd's API (proto/librettos/v1), over its unix socket.
//
//   auto client = librettos::Client::Connect({});
//   if (!client.ok()) return client.status();
//   librettos::v1::SetGuestModeRequest request;
//   request.set_name("guests/web");
//   request.set_mode(librettos::v1::DIRECT);
//   absl::StatusOr<librettos::v1::Operation> done = (*client)->SetGuestMode(request);
//   if (done.ok()) done = (*client)->WaitOperation(done->name(), absl::Seconds(10));
//
// One method per call of the API, blocking, named alike; what each does, needs and defaults to stands in the
// .proto files. Names are full names ("guests/web"; see client/names.h).
//
// Errors: the server's code and text; ErrorInfoOf(status) (client/error.h) has the machine-readable reason,
// the resource or field it is about, and what to do. Besides, from the client itself: UNAVAILABLE (the daemon
// is not reachable, or went away meanwhile: a call that changes something may have taken effect; repeat it
// with the same request_id), DEADLINE_EXCEEDED (no answer in time; the same holds), PERMISSION_DENIED (the
// socket may not be opened).
//
// Thread-safe: any number of calls at the same time. Survives restarts of the daemon: the next call connects
// again.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/error.h"
#include "client/watch.h"
#include "librettos/v1/channel.grpc.pb.h"
#include "librettos/v1/guest.grpc.pb.h"
#include "librettos/v1/network_server.grpc.pb.h"
#include "librettos/v1/nic.grpc.pb.h"
#include "librettos/v1/operation.grpc.pb.h"
#include "librettos/v1/statistics.grpc.pb.h"

namespace librettos {

inline constexpr absl::string_view kDefaultSocket = "/run/librettos/librettosd.sock";

struct ClientOptions {
  // Path of the daemon's socket, at most 107 bytes.
  std::string socket = std::string(kDefaultSocket);
  // How long each call may take. Must be positive.
  absl::Duration deadline = absl::Seconds(10);
  // Whether calls wait, within the deadline, for a daemon that is not there (restarting, say) instead of
  // failing at once.
  bool wait_for_ready = false;
};

class Client {
 public:
  // Checks that a daemon listens on the socket, unless `wait_for_ready`. INVALID_ARGUMENT: options that
  // cannot work. UNAVAILABLE: no daemon there. PERMISSION_DENIED: the socket may not be opened by this user.
  static absl::StatusOr<std::unique_ptr<Client>> Connect(const ClientOptions& options);
  ~Client();

  absl::StatusOr<v1::NetworkServer> CreateNetworkServer(const v1::CreateNetworkServerRequest& request);
  absl::StatusOr<v1::NetworkServer> GetNetworkServer(absl::string_view name);
  absl::StatusOr<std::vector<v1::NetworkServer>> ListNetworkServers();  // All pages, as every List here.
  absl::Status DeleteNetworkServer(const v1::DeleteNetworkServerRequest& request);
  absl::StatusOr<v1::Operation> UpgradeNetworkServer(const v1::UpgradeNetworkServerRequest& request);
  absl::StatusOr<v1::NetworkServer> FailNetworkServer(const v1::FailNetworkServerRequest& request);

  absl::StatusOr<v1::Guest> CreateGuest(const v1::CreateGuestRequest& request);
  absl::StatusOr<v1::Guest> GetGuest(absl::string_view name);
  absl::StatusOr<std::vector<v1::Guest>> ListGuests();
  absl::Status DeleteGuest(const v1::DeleteGuestRequest& request);
  absl::StatusOr<v1::Operation> SetGuestMode(const v1::SetGuestModeRequest& request);

  absl::StatusOr<v1::Nic> CreateNic(const v1::CreateNicRequest& request);
  absl::StatusOr<v1::Nic> GetNic(absl::string_view name);
  absl::StatusOr<std::vector<v1::Nic>> ListNics();
  absl::Status DeleteNic(const v1::DeleteNicRequest& request);

  absl::StatusOr<v1::Channel> GetChannel(absl::string_view name);
  // `parent`: "guests/{id}"; empty: of all guests.
  absl::StatusOr<std::vector<v1::Channel>> ListChannels(absl::string_view parent = "");

  absl::StatusOr<v1::Operation> GetOperation(absl::string_view name);
  absl::StatusOr<std::vector<v1::Operation>> ListOperations();
  // Returns once the operation is done: look at its `state`, SUCCEEDED or FAILED. DEADLINE_EXCEEDED: it still
  // runs after `timeout`. Operations outlive the daemon, so this waits through its restart.
  absl::StatusOr<v1::Operation> WaitOperation(absl::string_view name, absl::Duration timeout);

  // `name`: "servers/{id}" or "guests/{id}"; empty: all.
  absl::StatusOr<v1::GetStatisticsResponse> GetStatistics(absl::string_view name = "");

  // Calls `callback` in this thread for each change (see Watch::Callback) until it returns false, then
  // returns OK. DEADLINE_EXCEEDED after `timeout`; UNAVAILABLE when the daemon went away.
  absl::Status RunWatch(const v1::WatchRequest& request, absl::Duration timeout,
                        absl::FunctionRef<bool(const v1::WatchResponse&)> callback);
  // The same in a thread of its own, until cancelled. The client must outlive the watch.
  std::unique_ptr<Watch> StartWatch(const v1::WatchRequest& request, Watch::Callback callback);

  // Watches one resource until `done` returns true for its state, and returns that state. NOT_FOUND: there is
  // none, or it was deleted. DEADLINE_EXCEEDED after `timeout`.
  absl::StatusOr<v1::NetworkServer> AwaitNetworkServer(
      absl::string_view name, absl::Duration timeout, absl::FunctionRef<bool(const v1::NetworkServer&)> done);
  absl::StatusOr<v1::Guest> AwaitGuest(absl::string_view name, absl::Duration timeout,
                                       absl::FunctionRef<bool(const v1::Guest&)> done);

 private:
  struct Stubs;
  Client(ClientOptions options, std::unique_ptr<Stubs> stubs);

  const ClientOptions options_;
  const std::unique_ptr<Stubs> stubs_;
};

}  // namespace librettos
