#include "guest/apps/http_connection.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "guest/apps/http_path.h"
#include "guest/sockets/sockets.h"

namespace librettos::apps {
namespace {

constexpr uint32_t kLeastChunk = 16 << 10;
constexpr std::string_view kHealthTarget = "/.librettos/health";

int StatusOf(Error error) {
  switch (error) {
    case Error::kNotFound:
    case Error::kInvalidArgument:
      return 404;
    case Error::kPermission:
      return 403;
    case Error::kExhausted:
    case Error::kAgain:
      return 503;
    default:
      return 500;
  }
}

}  // namespace

HttpConnection::~HttpConnection() {
  if (file_ >= 0) shared_.files.Close(file_);
  sockets::Close(socket_);
}

bool HttpConnection::Turn(Nanoseconds now) {
  budget_ = kHttpTurnBytes;
  while (true) {
    Progress progress = Progress::kOver;
    switch (step_) {
      case Step::kReading:
        progress = Read(now);
        break;
      case Step::kAnswering:
        progress = SendSome(now);
        break;
      case Step::kLingering:
        progress = Linger();
        break;
    }
    if (progress != Progress::kOn) return progress == Progress::kWait;
  }
}

HttpConnection::Progress HttpConnection::Read(Nanoseconds now) {
  if (TakeRequest()) return Progress::kOn;
  if (input_ == nullptr) {
    input_.reset(new (std::nothrow) char[kMaxRequestBytes]);
    if (input_ == nullptr) return Progress::kOver;
  }
  // TakeRequest always takes from a full input: there is room here.
  const Result<size_t> got = sockets::Receive(
      socket_, std::as_writable_bytes(std::span(input_.get() + received_, kMaxRequestBytes - received_)));
  if (!got.ok()) {
    if (got.error() != Error::kAgain) return Progress::kOver;
    if (received_ == 0) input_.reset();
    wanted_ = sockets::kIn;
    return Progress::kWait;
  }
  if (got.value() == 0) return Progress::kOver;
  if (received_ == 0) deadline_ = now + kHttpIdle;  // Of the whole request: later bytes do not move it.
  received_ += static_cast<uint32_t>(got.value());
  return Progress::kOn;
}

bool HttpConnection::TakeRequest() {
  if (received_ == 0) return false;
  HttpRequest request;
  const size_t taken = ParseHttpRequest({input_.get(), received_}, &request);
  if (taken == 0) return false;
  ++shared_.requests;
  head_.Clear();
  head_sent_ = 0;
  keep_alive_ = request.keep_alive;
  Answer(request);  // Before the move: the request's views point into the input.
  received_ -= static_cast<uint32_t>(taken);
  std::memmove(input_.get(), input_.get() + taken, received_);
  step_ = Step::kAnswering;
  return true;
}

void HttpConnection::Refuse(const HttpRequest& request, int status) {
  head_.Clear();
  AddSimpleAnswer(head_, status, keep_alive_, request.method == Method::kHead);
}

void HttpConnection::Answer(const HttpRequest& request) {
  if (request.status != 0) return Refuse(request, request.status);
  if (request.target == kHealthTarget) {
    AddHead(head_, {.type = "text/plain; charset=utf-8", .length = 3, .keep_alive = keep_alive_});
    if (request.method == Method::kGet) head_.Add("ok\n");
    return;
  }
  TextOf<kMaxTargetBytes> path;
  const HttpPath mapped = MapTarget(request.target, path);
  if (mapped.status != 0) return Refuse(request, mapped.status);
  AnswerFile(request, path.view(), mapped.trailing_slash);
}

void HttpConnection::AnswerFile(const HttpRequest& request, std::string_view path, bool trailing_slash) {
  FileInfo info{};
  const Result<int> opened = shared_.files.Open(path, &info);
  if (!opened.ok()) return Refuse(request, StatusOf(opened.error()));
  file_ = opened.value();
  if (!info.directory) {
    if (!trailing_slash) return AnswerOpenFile(request, path, info.size);
    shared_.files.Close(file_);
    file_ = -1;
    return Refuse(request, 404);
  }
  shared_.files.Close(file_);
  file_ = -1;
  if (!trailing_slash && path != ".") {
    // Else relative links in the page would miss the directory. Built anew rather than echoed: never
    // "//host".
    TextOf<768> location;
    location.Add('/');
    for (char c : path) {
      if (c == '/') {
        location.Add(c);
      } else {
        AddUrlSegment(location, {&c, 1});
      }
    }
    location.Add('/');
    if (location.overflowed()) return Refuse(request, 414);
    return AddHead(head_, {.status = 301, .keep_alive = keep_alive_, .location = location.view()});
  }
  TextOf<kMaxTargetBytes + 16> index;
  if (path != ".") index.Add(path).Add('/');
  index.Add("index.html");
  const Result<int> page = shared_.files.Open(index.view(), &info);
  if (page.ok() && !info.directory) {
    file_ = page.value();
    return AnswerOpenFile(request, index.view(), info.size);
  }
  if (page.ok()) shared_.files.Close(page.value());
  AnswerDirectory(request, path);
}

void HttpConnection::AnswerOpenFile(const HttpRequest& request, std::string_view path, uint64_t size) {
  const ByteRange range = ParseRange(request.range, size);
  Head head{.type = ContentType(path), .length = range.length, .keep_alive = keep_alive_, .ranges = true};
  if (range.kind != RangeKind::kWhole) {
    head.range = &range;
    head.size = size;
    head.status = range.kind == RangeKind::kPart ? 206 : 416;
  }
  if (range.kind == RangeKind::kUnsatisfiable) head.type = {};
  AddHead(head_, head);
  file_at_ = range.first;
  file_left_ = request.method == Method::kGet ? range.length : 0;
}

void HttpConnection::AnswerDirectory(const HttpRequest& request, std::string_view path) {
  Result<Page> page = ListDirectory(shared_.files, path);
  if (!page.ok()) return Refuse(request, StatusOf(page.error()));
  AddHead(head_, {.type = "text/html; charset=utf-8", .length = page->size, .keep_alive = keep_alive_});
  page_sent_ = 0;
  if (request.method == Method::kGet) page_ = std::move(page.value());
}

HttpConnection::Progress HttpConnection::SendSome(Nanoseconds now) {
  const std::span<std::byte> buffer = shared_.buffer;
  const size_t head_left = head_.view().size() - head_sent_;
  const size_t page_left = page_.size - page_sent_;
  if (head_left == 0 && page_left == 0 && file_left_ == 0) return FinishAnswer(now);
  wanted_ = sockets::kOut;
  if (budget_ == 0) return Progress::kWait;

  // Head and the first of the body leave in one piece.
  std::memcpy(buffer.data(), head_.view().data() + head_sent_, head_left);
  size_t filled = head_left;
  const size_t room = std::min<size_t>(buffer.size(), std::max<size_t>(chunk_, kLeastChunk)) - filled;
  if (const size_t part = std::min(page_left, room); part != 0) {
    std::memcpy(buffer.data() + filled, page_.text.get() + page_sent_, part);
    filled += part;
  } else if (file_left_ != 0) {
    const size_t want = static_cast<size_t>(std::min<uint64_t>(file_left_, room));
    const Result<size_t> got = shared_.files.ReadAt(file_, file_at_, buffer.subspan(filled, want));
    // The promised length cannot be kept (the file shrank): only an early end tells the client so.
    if (!got.ok() || got.value() == 0) return Progress::kOver;
    filled += std::min(got.value(), want);
  }
  const Result<size_t> sent = sockets::Send(socket_, buffer.first(filled));
  if (!sent.ok()) return sent.error() == Error::kAgain ? Progress::kWait : Progress::kOver;
  size_t taken = std::min(sent.value(), filled);
  chunk_ = static_cast<uint32_t>(
      std::clamp<size_t>(taken == filled ? 2 * filled : taken, kLeastChunk, buffer.size()));
  budget_ -= std::min(budget_, taken);
  if (taken != 0) deadline_ = now + kHttpIdle;
  const bool all = taken == filled;
  const size_t of_head = std::min(taken, head_left);
  head_sent_ += static_cast<uint32_t>(of_head);
  taken -= of_head;
  const size_t of_page = std::min(taken, page_left);
  page_sent_ += of_page;
  taken -= of_page;
  file_at_ += taken;
  file_left_ -= taken;
  return all ? Progress::kOn : Progress::kWait;
}

HttpConnection::Progress HttpConnection::FinishAnswer(Nanoseconds now) {
  if (file_ >= 0) shared_.files.Close(file_);
  file_ = -1;
  page_ = Page();
  page_sent_ = 0;
  if (keep_alive_) {
    step_ = Step::kReading;
    deadline_ = now + kHttpIdle;
    // Pipelined requests are work of this turn, too; kOut comes back at once for the rest.
    budget_ -= std::min<size_t>(budget_, kLeastChunk);
    wanted_ = sockets::kOut;
    return budget_ == 0 && received_ != 0 ? Progress::kWait : Progress::kOn;
  }
  // Closing with unread input would reset the connection, and the client could lose the answer.
  if (!sockets::ShutdownWrite(socket_).ok()) return Progress::kOver;
  step_ = Step::kLingering;
  deadline_ = now + kHttpLinger;
  input_.reset();
  received_ = 0;
  return Progress::kOn;
}

HttpConnection::Progress HttpConnection::Linger() {
  wanted_ = sockets::kIn;
  if (budget_ == 0) return Progress::kWait;
  const Result<size_t> got = sockets::Receive(socket_, shared_.buffer);
  if (!got.ok()) return got.error() == Error::kAgain ? Progress::kWait : Progress::kOver;
  if (got.value() == 0) return Progress::kOver;
  budget_ -= std::min(budget_, got.value());
  return Progress::kOn;
}

void HttpConnection::OnTimeout() {
  if (step_ != Step::kReading || received_ == 0) return;
  head_.Clear();
  AddSimpleAnswer(head_, 408, false, false);
  (void)sockets::Send(socket_, std::as_bytes(std::span(head_.view())));  // Best effort: it is closed next.
}

}  // namespace librettos::apps
