#include "guest/apps/http_request.h"

#include <gtest/gtest.h>

#include <string>

namespace librettos::apps {
namespace {

HttpRequest Whole(std::string_view text) {
  HttpRequest request;
  EXPECT_EQ(ParseHttpRequest(text, &request), text.size()) << text;
  return request;
}

// The status of a request that may be refused before its end.
int StatusOf(std::string_view text) {
  HttpRequest request;
  EXPECT_NE(ParseHttpRequest(text, &request), 0u) << text;
  return request.status;
}

TEST(HttpRequest, TakesAPlainRequest) {
  const HttpRequest request = Whole("GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(request.status, 0);
  EXPECT_EQ(request.method, Method::kGet);
  EXPECT_EQ(request.target, "/a?b");
  EXPECT_TRUE(request.keep_alive);
  EXPECT_EQ(Whole("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n").method, Method::kHead);
}

TEST(HttpRequest, WaitsForTheLastByte) {
  const std::string text = "GET / HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\n\r\n";
  for (size_t cut = 0; cut < text.size(); ++cut) {
    HttpRequest request;
    EXPECT_EQ(ParseHttpRequest(text.substr(0, cut), &request), 0u) << cut;
  }
  EXPECT_EQ(Whole(text).range, "bytes=0-1");
}

TEST(HttpRequest, TakesOneOfSeveral) {
  const std::string one = "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n";
  const std::string text = one + "GET /2";
  HttpRequest request;
  EXPECT_EQ(ParseHttpRequest(text, &request), one.size());
  EXPECT_EQ(request.target, "/1");
}

TEST(HttpRequest, LeadingEmptyLinesAndBareLineFeedsAreTaken) {
  EXPECT_EQ(Whole("\r\n\nGET / HTTP/1.1\nHost: x\n\n").status, 0);
  HttpRequest request;
  EXPECT_EQ(ParseHttpRequest("\r\n\r\n", &request), 0u);
}

TEST(HttpRequest, PersistsByVersionAndConnection) {
  EXPECT_FALSE(Whole("GET / HTTP/1.0\r\n\r\n").keep_alive);
  EXPECT_TRUE(Whole("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
  EXPECT_FALSE(Whole("GET / HTTP/1.1\r\nHost: x\r\nconnection: upgrade , CLOSE\r\n\r\n").keep_alive);
  EXPECT_TRUE(Whole("GET / HTTP/1.1\r\nHost: x\r\nConnection: closed\r\n\r\n").keep_alive);
}

TEST(HttpRequest, RefusesMethods) {
  EXPECT_EQ(StatusOf("POST / HTTP/1.1\r\nHost: x\r\n\r\n"), 405);
  EXPECT_TRUE(Whole("DELETE / HTTP/1.1\r\nHost: x\r\n\r\n").keep_alive);
  EXPECT_EQ(StatusOf("BREW / HTTP/1.1\r\nHost: x\r\n\r\n"), 501);
  EXPECT_EQ(StatusOf("get / HTTP/1.1\r\nHost: x\r\n\r\n"), 501);
}

TEST(HttpRequest, RefusesMalformedRequestLines) {
  for (std::string_view line :
       {"GET", "GET /", "GET  / HTTP/1.1", "GET / HTTP/1.1 ", "GET / http/1.1", "GET / HTTP/11",
        "GET / HTTP/1.x", "G(T / HTTP/1.1", " GET / HTTP/1.1", "GET /\t HTTP/1.1", "GET /a b HTTP/1.1",
        "GET /\x7f HTTP/1.1", "\x16\x03\x01"}) {
    EXPECT_EQ(StatusOf(std::string(line) + "\r\nHost: x\r\n\r\n"), 400) << line;
  }
  EXPECT_EQ(StatusOf("GET / HTTP/2.0\r\nHost: x\r\n\r\n"), 505);
}

TEST(HttpRequest, RefusesMalformedFields) {
  for (std::string_view field : {"Host : x", " Host: x", "Host", ": x", "A: b\rc", "A: b\x01", "Ho st: x"}) {
    EXPECT_EQ(StatusOf("GET / HTTP/1.1\r\nHost: x\r\n" + std::string(field) + "\r\n\r\n"), 400) << field;
  }
  EXPECT_EQ(StatusOf("GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n folded\r\n\r\n"), 400);
  EXPECT_EQ(StatusOf(std::string("GET / HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n", 33)), 400);
}

TEST(HttpRequest, NeedsExactlyOneHost) {
  EXPECT_EQ(StatusOf("GET / HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(StatusOf("GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n"), 400);
  EXPECT_EQ(StatusOf("GET / HTTP/1.0\r\n\r\n"), 0);
}

TEST(HttpRequest, ABodyEndsTheConnection) {
  const std::string head = "GET / HTTP/1.1\r\nHost: x\r\n";
  EXPECT_FALSE(Whole(head + "Content-Length: 5\r\n\r\n").keep_alive);
  EXPECT_TRUE(Whole(head + "Content-Length: 0\r\n\r\n").keep_alive);
  EXPECT_FALSE(Whole("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n").keep_alive);
  EXPECT_EQ(StatusOf(head + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"), 400);
  EXPECT_EQ(StatusOf(head + "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"), 0);
  EXPECT_EQ(StatusOf(head + "Content-Length: +5\r\n\r\n"), 400);
  EXPECT_EQ(StatusOf(head + "Content-Length: \r\n\r\n"), 400);
  EXPECT_EQ(StatusOf(head + "Transfer-Encoding: chunked\r\n\r\n"), 501);
  EXPECT_EQ(StatusOf(head + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"), 400);
}

TEST(HttpRequest, ARangeIsForGetWithoutConditions) {
  const std::string range = " / HTTP/1.1\r\nHost: x\r\nRange: bytes=1-\r\n";
  EXPECT_EQ(Whole("GET" + range + "\r\n").range, "bytes=1-");
  EXPECT_EQ(Whole("HEAD" + range + "\r\n").range, "");
  EXPECT_EQ(Whole("GET" + range + "If-Range: \"x\"\r\n\r\n").range, "");
}

TEST(HttpRequest, IsBounded) {
  EXPECT_EQ(StatusOf("GET /" + std::string(kMaxTargetBytes - 1, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
  EXPECT_EQ(StatusOf("GET /" + std::string(kMaxTargetBytes, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n"), 414);
  EXPECT_EQ(StatusOf("GET /" + std::string(kMaxRequestBytes, 'a')), 414);
  EXPECT_EQ(StatusOf("GET / HTTP/1.1\r\nHost: x\r\nA: " + std::string(kMaxRequestBytes, 'a')), 431);
  std::string many = "GET / HTTP/1.1\r\nHost: x\r\n";
  for (int i = 1; i < kMaxHeaderFields; ++i) many += "A: b\r\n";
  EXPECT_EQ(StatusOf(many + "\r\n"), 0);
  EXPECT_EQ(StatusOf(many + "A: b\r\n\r\n"), 431);
  HttpRequest request;
  EXPECT_NE(ParseHttpRequest(std::string(kMaxRequestBytes, '\n'), &request), 0u);
  EXPECT_FALSE(request.keep_alive);
}

}  // namespace
}  // namespace librettos::apps
