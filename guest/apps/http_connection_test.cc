#include "guest/apps/http_connection.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "guest/apps/testing/directory_files.h"
#include "guest/sockets/sockets.h"

namespace librettos::apps {
namespace {

constexpr Nanoseconds kSecond = 1'000'000'000;

class HttpConnectionTest : public testing::Test {
 protected:
  HttpConnectionTest() : root_(testing::TempDir() + "/http_XXXXXX"), buffer_(128 << 10) {
    EXPECT_NE(mkdtemp(root_.data()), nullptr);
    big_.resize(3'000'000);
    for (size_t i = 0; i < big_.size(); ++i) big_[i] = static_cast<char>(i * 2654435761u >> 13);
    Write("big", big_);
    Write("a.txt", "0123456789");
    Write("empty", "");
    mkdir((root_ + "/sub").c_str(), 0755);
    Write("sub/index.html", "<p>sub</p>");
    mkdir((root_ + "/list").c_str(), 0755);
    Write("list/<b>", "x");
    Write("list/a b", "yy");
    files_.emplace(root_);
    shared_.emplace(HttpShared{*files_, buffer_});
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    client_ = ends[0];
    connection_.emplace(*shared_, ends[1], now_);
  }
  ~HttpConnectionTest() override {
    if (client_ >= 0) close(client_);
  }

  void Write(const std::string& name, const std::string& content) {
    std::ofstream(root_ + "/" + name) << content;
  }
  void Say(std::string_view text) {
    ASSERT_EQ(write(client_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  bool Turn() { return alive_ = connection_->Turn(now_); }

  // Takes turns and reads until nothing more comes.
  std::string Converse() {
    std::string all;
    char data[65536];
    for (int idle = 0; idle < 3;) {
      if (alive_) Turn();
      const ssize_t got = read(client_, data, sizeof data);
      if (got > 0) {
        all.append(data, static_cast<size_t>(got));
        idle = 0;
      } else {
        ended_ |= got == 0;
        ++idle;
      }
    }
    return all;
  }
  std::string Get(std::string_view target, std::string_view fields = "", std::string_view method = "GET") {
    Say(std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: x\r\n" + std::string(fields) +
        "\r\n");
    return Converse();
  }
  static std::string Body(const std::string& answer) {
    const size_t end = answer.find("\r\n\r\n");
    return end == answer.npos ? "no head" : answer.substr(end + 4);
  }

  Nanoseconds now_ = 1000 * kSecond;
  std::string root_, big_;
  std::vector<std::byte> buffer_;
  std::optional<DirectoryFiles> files_;
  std::optional<HttpShared> shared_;
  std::optional<HttpConnection> connection_;
  int client_ = -1;
  bool alive_ = true;
  bool ended_ = false;  // The client has seen the end.
};

TEST_F(HttpConnectionTest, ServesFilesAndStaysOpen) {
  const std::string answer = Get("/a.txt");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
  EXPECT_EQ(Body(answer), "0123456789");
  EXPECT_EQ(Body(Get("/empty")), "");
  EXPECT_EQ(Body(Get("/big")), big_);
  EXPECT_TRUE(alive_);
  EXPECT_TRUE(connection_->idle());
  EXPECT_EQ(shared_->requests, 3u);
}

TEST_F(HttpConnectionTest, HeadHasTheLengthAndNoBody) {
  const std::string answer = Get("/big", "", "HEAD");
  EXPECT_NE(answer.find("Content-Length: 3000000\r\n"), answer.npos);
  EXPECT_EQ(Body(answer), "");
  EXPECT_EQ(Body(Get("/list/", "", "HEAD")), "");
  EXPECT_EQ(Body(Get("/nope", "", "HEAD")), "");
  EXPECT_EQ(Body(Get("/a.txt")), "0123456789");
}

TEST_F(HttpConnectionTest, Ranges) {
  std::string answer = Get("/a.txt", "Range: bytes=2-4\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 206 ")) << answer;
  EXPECT_EQ(Body(answer), "234");
  answer = Get("/a.txt", "Range: bytes=10-\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 416 ")) << answer;
  EXPECT_EQ(Body(answer), "");
  EXPECT_EQ(Body(Get("/big", "Range: bytes=1000000-2499999\r\n")), big_.substr(1'000'000, 1'500'000));
}

TEST_F(HttpConnectionTest, PipelinedRequestsAreAnsweredInOrder) {
  std::string all;
  for (int i = 0; i < 40; ++i)
    all += i % 2 == 0 ? "GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n"
                      : "GET /.librettos/health HTTP/1.1\r\nHost: x\r\n\r\n";
  Say(all);
  const std::string answers = Converse();
  size_t at = 0;
  for (int i = 0; i < 40; ++i) {
    const std::string_view body = i % 2 == 0 ? "\r\n\r\n0123456789" : "\r\n\r\nok\n";
    at = answers.find(body, at);
    ASSERT_NE(at, answers.npos) << i;
    at += body.size();
  }
  EXPECT_EQ(at, answers.size());
}

TEST_F(HttpConnectionTest, ARequestMayComeByteByByte) {
  const std::string_view request = "GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n";
  for (char c : request.substr(0, request.size() - 1)) {
    Say({&c, 1});
    EXPECT_EQ(Converse(), "");
  }
  Say("\n");
  EXPECT_EQ(Body(Converse()), "0123456789");
}

TEST_F(HttpConnectionTest, DirectoriesAreListedOrShowTheirIndex) {
  EXPECT_EQ(Body(Get("/sub/")), "<p>sub</p>");
  const std::string moved = Get("/sub");
  EXPECT_TRUE(moved.starts_with("HTTP/1.1 301 ")) << moved;
  EXPECT_NE(moved.find("Location: /sub/\r\n"), moved.npos);
  const std::string page = Body(Get("/list/"));
  EXPECT_NE(page.find("<a href=\"./%3Cb%3E\">&lt;b&gt;</a></td><td>1<"), page.npos) << page;
  EXPECT_LT(page.find("&lt;b"), page.find("a b"));
  EXPECT_NE(Body(Get("/")).find("<a href=\"./sub/\">"), std::string::npos);
}

TEST_F(HttpConnectionTest, ARedirectNeverNamesAnotherHost) {
  EXPECT_NE(Get("//sub").find("Location: /sub/\r\n"), std::string::npos);
}

TEST_F(HttpConnectionTest, RefusalsLeaveTheConnectionOpenWhereTheyCan) {
  EXPECT_TRUE(Get("/nope").starts_with("HTTP/1.1 404 "));
  EXPECT_TRUE(Get("/a.txt/").starts_with("HTTP/1.1 404 "));
  EXPECT_TRUE(Get("/../x").starts_with("HTTP/1.1 403 "));
  EXPECT_TRUE(Get("/", "", "PUT").starts_with("HTTP/1.1 405 "));
  EXPECT_TRUE(alive_);
  EXPECT_TRUE(Get("/", "", "BREW").starts_with("HTTP/1.1 501 "));
  EXPECT_TRUE(ended_);
}

TEST_F(HttpConnectionTest, ClosesAfterTheAnswerAndWaitsForTheClient) {
  EXPECT_EQ(Body(Get("/a.txt", "Connection: close\r\n")), "0123456789");
  EXPECT_TRUE(ended_);
  EXPECT_TRUE(alive_);  // Until the client closes, so that nothing of the answer is lost.
  Say("more that nobody reads");
  EXPECT_TRUE(Turn());
  EXPECT_EQ(connection_->deadline(), now_ + kHttpLinger);
  close(client_);
  client_ = -1;
  EXPECT_FALSE(Turn());
}

TEST_F(HttpConnectionTest, AClientThatIsGoneEndsTheConnection) {
  close(client_);
  client_ = -1;
  EXPECT_FALSE(Turn());
}

TEST_F(HttpConnectionTest, AHalfClosedClientStillGetsItsAnswer) {
  Say("GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
  shutdown(client_, SHUT_WR);
  EXPECT_EQ(Body(Converse()), big_);
  EXPECT_FALSE(alive_);
}

TEST_F(HttpConnectionTest, AClientThatReadsNothingCostsOneTurn) {
  Say("GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(Turn());
  EXPECT_EQ(connection_->wanted(), uint32_t{sockets::kOut});
}

TEST_F(HttpConnectionTest, TheDeadlineIsOfTheWholeRequest) {
  Turn();
  now_ += 5 * kSecond;
  Say("GET");
  Turn();
  const Nanoseconds deadline = connection_->deadline();
  EXPECT_EQ(deadline, now_ + kHttpIdle);
  now_ += 30 * kSecond;
  Say(" /");
  Turn();
  EXPECT_EQ(connection_->deadline(), deadline);
  EXPECT_FALSE(connection_->idle());
  connection_->OnTimeout();
  char answer[512];
  const ssize_t got = read(client_, answer, sizeof answer);
  ASSERT_GT(got, 0);
  EXPECT_TRUE(std::string_view(answer, static_cast<size_t>(got)).starts_with("HTTP/1.1 408 "));
}

TEST_F(HttpConnectionTest, AFileThatShrinksBreaksTheAnswerOff) {
  Say("GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
  Turn();
  ASSERT_EQ(truncate((root_ + "/big").c_str(), 10), 0);
  EXPECT_LT(Body(Converse()).size(), big_.size());
  EXPECT_FALSE(alive_);
}

}  // namespace
}  // namespace librettos::apps
