// One client of the HTTP server: reads requests, answers them in order, one at a time.
//
// Single-threaded. Memory: this object, kMaxRequestBytes while a request is being received, and a listing's
// page while one is sent; file data only pass through the buffer that all connections share.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "guest/apps/http_listing.h"
#include "guest/apps/http_request.h"
#include "guest/apps/http_response.h"
#include "guest/platform/platform.h"

namespace librettos::apps {

inline constexpr Nanoseconds kHttpIdle =
    60'000'000'000;  // A whole request, or some progress of an answer, within.
inline constexpr Nanoseconds kHttpLinger =
    2'000'000'000;                                   // For the client to take the last answer and close.
inline constexpr size_t kHttpTurnBytes = 256 << 10;  // Sent per connection and turn, so that all get theirs.

// What the connections of a server have in common.
struct HttpShared {
  Files& files;
  std::span<std::byte> buffer;  // Content is lost between turns. At least 64 KiB.
  uint64_t requests = 0;
};

class HttpConnection {
 public:
  // Takes over `socket`.
  HttpConnection(HttpShared& shared, int socket, Nanoseconds now)
      : shared_(shared), socket_(socket), deadline_(now + kHttpIdle) {}
  ~HttpConnection();
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  // Does what can be done now, within the budget of a turn. False: the connection is over, delete it.
  bool Turn(Nanoseconds now);
  // The events to wait for before the next turn: sockets::kIn or kOut.
  uint32_t wanted() const { return wanted_; }
  // When the client is given up, if nothing happens until then; it is then deleted after OnTimeout.
  Nanoseconds deadline() const { return deadline_; }
  // Between requests, with nothing received of the next.
  bool idle() const { return step_ == Step::kReading && received_ == 0; }
  void OnTimeout();

 private:
  enum class Step : uint8_t { kReading, kAnswering, kLingering };
  enum class Progress : uint8_t { kOn, kWait, kOver };

  Progress Read(Nanoseconds now);
  Progress SendSome(Nanoseconds now);
  Progress Linger();
  Progress FinishAnswer(Nanoseconds now);
  // Whether a whole request stands in the input; if so it is being answered from now on.
  bool TakeRequest();
  void Answer(const HttpRequest& request);
  void AnswerFile(const HttpRequest& request, std::string_view path, bool trailing_slash);
  void AnswerOpenFile(const HttpRequest& request, std::string_view path, uint64_t size);
  void AnswerDirectory(const HttpRequest& request, std::string_view path);
  void Refuse(const HttpRequest& request, int status);

  HttpShared& shared_;
  const int socket_;
  Step step_ = Step::kReading;
  bool keep_alive_ = true;
  uint32_t wanted_ = 1;  // sockets::kIn
  Nanoseconds deadline_;

  std::unique_ptr<char[]> input_;
  uint32_t received_ = 0;  // Bytes in the input.

  // The answer: the rest of the head, then of the page or of the file.
  TextOf<1024> head_;
  uint32_t head_sent_ = 0;
  Page page_;
  size_t page_sent_ = 0;
  int file_ = -1;
  uint64_t file_at_ = 0;
  uint64_t file_left_ = 0;
  uint32_t chunk_ = 64 << 10;  // What to offer the socket next: about what it last took.
  size_t budget_ = 0;          // Left of this turn.
};

}  // namespace librettos::apps
