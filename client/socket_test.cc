#include "client/socket.h"

#include <gtest/gtest.h>

#include <string>

namespace librettos {
namespace {

TEST(Socket, PathMustFitASocketAddress) {
  EXPECT_TRUE(CheckSocketPath(std::string(107, 'a')).ok());
  EXPECT_EQ(CheckSocketPath(std::string(108, 'a')).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CheckSocketPath("").code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CheckSocketPath(std::string("/a\0b", 4)).code(), absl::StatusCode::kInvalidArgument);
}

TEST(Socket, NobodyThereIsUnavailableAndSaysWhere) {
  const absl::Status status = ProbeSocket("/nonexistent/d.sock");
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(status.message().find("/nonexistent/d.sock"), std::string::npos);
}

TEST(Socket, UriEncodesWhatAUriMayNotHold) {
  EXPECT_EQ(SocketUri("/run/librettos/d-1_x.sock"), "unix:/run/librettos/d-1_x.sock");
  EXPECT_EQ(SocketUri("/a b%?#"), "unix:/a%20b%25%3F%23");
}

}  // namespace
}  // namespace librettos
