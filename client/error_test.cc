#include "client/error.h"

#include <gtest/gtest.h>

namespace librettos {
namespace {

v1::ErrorInfo Info() {
  v1::ErrorInfo info;
  info.set_reason(v1::ErrorInfo::NIC_TAKEN);
  info.set_resource("nics/a");
  info.set_next_step("use another");
  return info;
}

TEST(Error, OkIsOk) {
  EXPECT_TRUE(FromGrpc(grpc::Status::OK).ok());
  EXPECT_TRUE(ToGrpc(absl::OkStatus()).ok());
  EXPECT_FALSE(ErrorInfoOf(absl::OkStatus()).has_value());
}

TEST(Error, DetailsBecomeThePayload) {
  const absl::Status status =
      FromGrpc(grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "taken", Info().SerializeAsString()));
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(status.message(), "taken");
  const std::optional<v1::ErrorInfo> info = ErrorInfoOf(status);
  ASSERT_TRUE(info.has_value());
  EXPECT_EQ(info->reason(), v1::ErrorInfo::NIC_TAKEN);
  EXPECT_EQ(info->resource(), "nics/a");
  EXPECT_EQ(info->next_step(), "use another");
}

TEST(Error, EveryCodeKeepsItsMeaning) {
  for (int code = 1; code <= 16; ++code) {
    const absl::Status status = FromGrpc(grpc::Status(static_cast<grpc::StatusCode>(code), "x"));
    EXPECT_EQ(static_cast<int>(status.code()), code);
    EXPECT_EQ(ToGrpc(status).error_code(), code);
  }
}

TEST(Error, CodeOutsideTheCanonicalOnesIsUnknown) {
  EXPECT_EQ(FromGrpc(grpc::Status(static_cast<grpc::StatusCode>(31), "x")).code(),
            absl::StatusCode::kUnknown);
}

TEST(Error, NoDetailsNoInfo) {
  EXPECT_FALSE(ErrorInfoOf(FromGrpc(grpc::Status(grpc::StatusCode::NOT_FOUND, "x"))).has_value());
}

TEST(Error, BrokenDetailsAreLeftOut) {
  const absl::Status status = FromGrpc(grpc::Status(grpc::StatusCode::NOT_FOUND, "gone", "\xff\xff\xff"));
  EXPECT_EQ(status.message(), "gone");
  EXPECT_FALSE(ErrorInfoOf(status).has_value());
}

TEST(Error, ThereAndBack) {
  const absl::Status status = WithErrorInfo(absl::AbortedError("stale"), Info());
  EXPECT_EQ(FromGrpc(ToGrpc(status)), status);
}

}  // namespace
}  // namespace librettos
