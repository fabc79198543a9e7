// The bytes that an HTTP client sends, through request head, target, range and the answers made of them.
//
// Checked: a head is found at the same place however the bytes arrive; all views lie in the text; a mapped
// path stays below the root; a range lies within the file; what goes into a page or a header cannot end it.
#include <memory>
#include <string>

#include "bazel/fuzz_input.h"
#include "guest/apps/http_path.h"
#include "guest/apps/http_request.h"
#include "guest/apps/http_response.h"

namespace librettos::apps {
namespace {

constexpr size_t kMaxStarts = 64;  // Of a text that are parsed again.

bool Within(std::string_view view, std::string_view text) {
  return view.empty() ||
         (view.data() >= text.data() && view.data() + view.size() <= text.data() + text.size());
}

void CheckPath(std::string_view path) {
  FUZZ_CHECK(!path.empty() && path.front() != '/' && path.find('\0') == path.npos);
  while (!path.empty()) {
    const std::string_view segment = path.substr(0, path.find('/'));
    FUZZ_CHECK(segment != ".." && (segment != "." || segment.size() == path.size()));
    path.remove_prefix(std::min(path.size(), segment.size() + 1));
  }
}

void CheckAnswers(std::string_view path, bool keep_alive, std::string_view field) {
  TextOf<2048> text;
  AddHtml(text, path);
  FUZZ_CHECK(text.view().find_first_of("<>\"'") == std::string_view::npos);
  text.Clear();
  AddUrlSegment(text, path);
  FUZZ_CHECK(text.view().find_first_of(" /?#<>\"\r\n") == std::string_view::npos);
  for (uint64_t size : {uint64_t{0}, uint64_t{1}, uint64_t{1000}, UINT64_MAX}) {
    const ByteRange range = ParseRange(field, size);
    if (range.kind == RangeKind::kPart) {
      FUZZ_CHECK(range.length > 0 && range.first < size && range.length <= size - range.first);
    } else if (range.kind == RangeKind::kWhole) {
      FUZZ_CHECK(range.length == size);
    }
    text.Clear();
    AddHead(text, {.status = 206,
                   .type = ContentType(path),
                   .length = range.length,
                   .keep_alive = keep_alive,
                   .range = &range,
                   .size = size});
    FUZZ_CHECK(text.overflowed() || text.view().ends_with("\r\n\r\n"));
  }
}

void Check(std::string_view text) {
  HttpRequest request;
  const size_t taken = ParseHttpRequest(text, &request);
  FUZZ_CHECK(taken <= text.size());
  FUZZ_CHECK(taken > 0 || text.size() < kMaxRequestBytes);
  for (size_t i = 0; i < kMaxStarts && i < text.size(); ++i) {
    // Fewer bytes: not yet, or the same, or refused at once.
    const size_t length = text.size() * (i + 1) / (kMaxStarts + 1);
    HttpRequest part;
    const size_t early = ParseHttpRequest(text.substr(0, length), &part);
    FUZZ_CHECK(early <= length);
    if (early > 0 && part.status == 0)
      FUZZ_CHECK(early == taken && request.status == 0 && part.target == request.target);
    if (taken > 0 && request.status == 0 && length < taken) FUZZ_CHECK(early == 0);
  }
  if (taken == 0) return;
  FUZZ_CHECK(request.status == 0 || request.status >= 400);
  FUZZ_CHECK(Within(request.target, text.substr(0, taken)) && Within(request.range, text.substr(0, taken)));
  if (request.status != 0) return;
  TextOf<256> path;
  const HttpPath mapped = MapTarget(request.target, path);
  FUZZ_CHECK(mapped.status == 0 || mapped.status >= 400);
  if (mapped.status != 0) return;
  FUZZ_CHECK(!path.overflowed());
  CheckPath(path.view());
  CheckAnswers(path.view(), request.keep_alive, request.range);
}

}  // namespace
}  // namespace librettos::apps

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // A copy without slack.
  const std::unique_ptr<char[]> copy(new char[size]);
  std::copy_n(data, size, copy.get());
  librettos::apps::Check({copy.get(), size});
  return 0;
}
