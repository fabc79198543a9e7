#include "guest/apps/http_response.h"

#include <gtest/gtest.h>

#include <string>

namespace librettos::apps {
namespace {

void ExpectPart(std::string_view field, uint64_t size, uint64_t first, uint64_t length) {
  const ByteRange range = ParseRange(field, size);
  EXPECT_EQ(range.kind, RangeKind::kPart) << field;
  EXPECT_EQ(range.first, first) << field;
  EXPECT_EQ(range.length, length) << field;
}

TEST(HttpRange, TakesSingleRanges) {
  ExpectPart("bytes=0-0", 10, 0, 1);
  ExpectPart("bytes=2-5", 10, 2, 4);
  ExpectPart("Bytes=2-", 10, 2, 8);
  ExpectPart("bytes=-3", 10, 7, 3);
  ExpectPart("bytes=-30", 10, 0, 10);
  ExpectPart("bytes=5-99", 10, 5, 5);
  ExpectPart("bytes=5-99999999999999999999999", 10, 5, 5);
  ExpectPart("bytes=0-", UINT64_MAX, 0, UINT64_MAX);
}

TEST(HttpRange, UnsatisfiableOnesAreToldApart) {
  for (std::string_view field : {"bytes=10-", "bytes=10-20", "bytes=-0", "bytes=99999999999999999999999-"}) {
    EXPECT_EQ(ParseRange(field, 10).kind, RangeKind::kUnsatisfiable) << field;
  }
  EXPECT_EQ(ParseRange("bytes=0-", 0).kind, RangeKind::kUnsatisfiable);
  EXPECT_EQ(ParseRange("bytes=-1", 0).kind, RangeKind::kUnsatisfiable);
}

TEST(HttpRange, OthersAreIgnored) {
  for (std::string_view field : {"", "bytes", "bytes=", "bytes=-", "bytes=5-2", "bytes=a-b", "bytes=1",
                                 "bytes=1-2,4-5", "lines=1-2", "bytes=1-2x", "bytes= 1-2", "bytes=--1"}) {
    const ByteRange range = ParseRange(field, 10);
    EXPECT_EQ(range.kind, RangeKind::kWhole) << field;
    EXPECT_EQ(range.length, 10u) << field;
  }
}

TEST(HttpResponse, WritesHeads) {
  TextOf<1024> out;
  const ByteRange part{RangeKind::kPart, 2, 4};
  AddHead(out, {.status = 206,
                .type = "text/plain",
                .length = 4,
                .keep_alive = false,
                .ranges = true,
                .range = &part,
                .size = 10});
  EXPECT_EQ(
      out.view(),
      "HTTP/1.1 206 Partial Content\r\nServer: librettos\r\nContent-Length: 4\r\nContent-Type: text/plain\r\n"
      "Accept-Ranges: bytes\r\nContent-Range: bytes 2-5/10\r\nConnection: close\r\n\r\n");
  out.Clear();
  const ByteRange none{RangeKind::kUnsatisfiable, 0, 0};
  AddHead(out, {.status = 416, .range = &none, .size = 10});
  EXPECT_NE(out.view().find("Content-Range: bytes */10\r\n"), std::string_view::npos);
}

TEST(HttpResponse, SimpleAnswersHaveTheRightLength) {
  TextOf<1024> get, head;
  AddSimpleAnswer(get, 405, true, false);
  AddSimpleAnswer(head, 405, true, true);
  EXPECT_TRUE(get.view().starts_with("HTTP/1.1 405 Method Not Allowed\r\n"));
  EXPECT_NE(get.view().find("Allow: GET, HEAD\r\n"), std::string_view::npos);
  EXPECT_NE(get.view().find("Content-Length: 23\r\n"), std::string_view::npos);
  EXPECT_EQ(get.view(), std::string(head.view()) + "405 Method Not Allowed\n");
}

TEST(HttpResponse, EveryStatusInUseHasAReason) {
  for (int status : {200, 206, 301, 400, 403, 404, 405, 408, 414, 416, 431, 500, 501, 503, 505}) {
    EXPECT_NE(Reason(status), "Unknown") << status;
  }
}

}  // namespace
}  // namespace librettos::apps
