#include "guest/apps/http_path.h"

#include <gtest/gtest.h>

#include <string>

#include "guest/apps/http_request.h"

namespace librettos::apps {
namespace {

struct Mapped {
  int status;
  bool trailing_slash;
  std::string path;
};

Mapped Map(std::string_view target) {
  TextOf<kMaxTargetBytes> out;
  const HttpPath path = MapTarget(target, out);
  return {path.status, path.trailing_slash, path.status == 0 ? std::string(out.view()) : std::string()};
}

TEST(HttpPath, MapsPlainTargets) {
  EXPECT_EQ(Map("/").path, ".");
  EXPECT_TRUE(Map("/").trailing_slash);
  EXPECT_EQ(Map("/a/b.txt").path, "a/b.txt");
  EXPECT_FALSE(Map("/a/b.txt").trailing_slash);
  EXPECT_EQ(Map("/a/").path, "a");
  EXPECT_TRUE(Map("/a/").trailing_slash);
  EXPECT_EQ(Map("/a?x=/../..").path, "a");
  EXPECT_EQ(Map("/a#b").path, "a");
  EXPECT_EQ(Map("http://host:80/a").path, "a");
  EXPECT_EQ(Map("HTTP://host").path, ".");
}

TEST(HttpPath, Normalises) {
  EXPECT_EQ(Map("//a///b").path, "a/b");
  EXPECT_EQ(Map("/./a/./b/.").path, "a/b");
  EXPECT_TRUE(Map("/a/.").trailing_slash);
  EXPECT_EQ(Map("/a/../b").path, "b");
  EXPECT_EQ(Map("/a/b/../../c").path, "c");
  EXPECT_EQ(Map("/a/b/c/../../d").path, "a/d");
  EXPECT_EQ(Map("/a/..").path, ".");
  EXPECT_TRUE(Map("/a/..").trailing_slash);
  EXPECT_EQ(Map("/...").path, "...");
  EXPECT_EQ(Map("/..a").path, "..a");
}

TEST(HttpPath, NeverLeavesTheRoot) {
  for (std::string_view target :
       {"/..", "/../a", "/a/../../b", "/%2e%2e/a", "/.%2e/a", "/a/%2E%2E/%2e%2e/b", "http://h/../a"}) {
    EXPECT_EQ(Map(target).status, 403) << target;
  }
}

TEST(HttpPath, EncodedSlashesAndNulsAreRefused) {
  EXPECT_EQ(Map("/a%2fb").status, 403);
  EXPECT_EQ(Map("/..%2f..%2fetc").status, 403);
  EXPECT_EQ(Map("/a%00.html").status, 403);
}

TEST(HttpPath, Decodes) {
  EXPECT_EQ(Map("/a%20b%3F").path, "a b?");
  EXPECT_EQ(Map("/%e4").path, "\xe4");
  EXPECT_EQ(Map("/a+b").path, "a+b");
  EXPECT_EQ(Map("/%2541").path, "%41");
  for (std::string_view target : {"/%", "/%4", "/%4g", "/%g4", "/a%/b"})
    EXPECT_EQ(Map(target).status, 400) << target;
}

TEST(HttpPath, RefusesWhatIsNoPath) {
  EXPECT_EQ(Map("*").status, 400);
  EXPECT_EQ(Map("").status, 400);
  EXPECT_EQ(Map("a/b").status, 400);
  EXPECT_EQ(Map("?").status, 400);
}

TEST(HttpPath, IsBounded) {
  EXPECT_EQ(Map("/" + std::string(kMaxTargetBytes - 1, 'a')).status, 0);
  EXPECT_EQ(Map("/" + std::string(kMaxTargetBytes, 'a')).status, 414);
  std::string deep;
  for (int i = 0; i < 128; ++i) deep += "/d";
  EXPECT_EQ(Map(deep).status, 0);
  EXPECT_EQ(Map(deep + "/d").status, 414);
  TextOf<3> small;
  EXPECT_EQ(MapTarget("/abcd", small).status, 414);
}

TEST(HttpPath, EscapesForHtmlAndUrls) {
  Line html, url;
  AddHtml(html, "<a href='x'>&\"");
  EXPECT_EQ(html.view(), "&lt;a href=&#39;x&#39;&gt;&amp;&quot;");
  AddUrlSegment(url, "a b/\"\xff~");
  EXPECT_EQ(url.view(), "a%20b%2F%22%FF~");
}

TEST(HttpPath, KnowsTypesByExtension) {
  EXPECT_EQ(ContentType("a/b.HTML"), "text/html; charset=utf-8");
  EXPECT_EQ(ContentType("x.tar.gz"), "application/gzip");
  EXPECT_EQ(ContentType("dir.html/file"), "application/octet-stream");
  EXPECT_EQ(ContentType("html"), "application/octet-stream");
  EXPECT_EQ(ContentType("a."), "application/octet-stream");
}

}  // namespace
}  // namespace librettos::apps
