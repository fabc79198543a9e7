#include "client/commands/report.h"

#include <gtest/gtest.h>

#include "client/commands/exit_code.h"
#include "client/error.h"

namespace librettos::ctl {
namespace {

using Code = absl::StatusCode;

TEST(ExitCode, IsFixedForEveryStatus) {
  EXPECT_EQ(ExitCodeFor(Code::kOk), 0);
  EXPECT_EQ(ExitCodeFor(Code::kUnknown), 1);
  EXPECT_EQ(ExitCodeFor(Code::kInternal), 1);
  EXPECT_EQ(ExitCodeFor(Code::kCancelled), 1);
  EXPECT_EQ(ExitCodeFor(Code::kDataLoss), 1);
  EXPECT_EQ(ExitCodeFor(Code::kUnimplemented), 1);
  EXPECT_EQ(ExitCodeFor(Code::kResourceExhausted), 1);
  EXPECT_EQ(ExitCodeFor(Code::kInvalidArgument), 2);
  EXPECT_EQ(ExitCodeFor(Code::kOutOfRange), 2);
  EXPECT_EQ(ExitCodeFor(Code::kNotFound), 3);
  EXPECT_EQ(ExitCodeFor(Code::kAlreadyExists), 4);
  EXPECT_EQ(ExitCodeFor(Code::kAborted), 4);
  EXPECT_EQ(ExitCodeFor(Code::kFailedPrecondition), 4);
  EXPECT_EQ(ExitCodeFor(Code::kUnavailable), 5);
  EXPECT_EQ(ExitCodeFor(Code::kDeadlineExceeded), 6);
  EXPECT_EQ(ExitCodeFor(Code::kPermissionDenied), 7);
  EXPECT_EQ(ExitCodeFor(Code::kUnauthenticated), 7);
}

TEST(RenderError, TellsWhatWhyAndTheDaemonsNextStep) {
  v1::ErrorInfo info;
  info.set_next_step("choose another NIC");
  EXPECT_EQ(RenderError("create servers/a",
                        WithErrorInfo(absl::FailedPreconditionError("nics/x is taken"), info), "/s"),
            "librettosctl: create servers/a: nics/x is taken\n  next: choose another NIC\n");
}

TEST(RenderError, SaysTheNextStepOnce) {
  v1::ErrorInfo info;
  info.set_next_step("choose another NIC");
  EXPECT_EQ(
      RenderError("x", WithErrorInfo(absl::FailedPreconditionError("it is taken; choose another NIC"), info),
                  "/s"),
      "librettosctl: x: it is taken\n  next: choose another NIC\n");
  // All of the text: then it stays.
  EXPECT_EQ(RenderError("x", WithErrorInfo(absl::FailedPreconditionError("choose another NIC"), info), "/s"),
            "librettosctl: x: choose another NIC\n  next: choose another NIC\n");
}

TEST(RenderError, KnowsWhatToDoAboutAMissingResource) {
  v1::ErrorInfo info;
  info.set_resource("guests/web");
  EXPECT_EQ(
      RenderError("describe guests/web", WithErrorInfo(absl::NotFoundError("no such guest"), info), "/s"),
      "librettosctl: describe guests/web: no such guest\n  next: see what there is: librettosctl guest "
      "list\n");
}

TEST(RenderError, NamesTheSocketOfAMissingDaemon) {
  EXPECT_NE(RenderError("x", absl::UnavailableError("gone"), "/run/s").find("/run/s"), std::string::npos);
}

TEST(RenderError, NoTextIsTheCode) {
  EXPECT_EQ(RenderError("x", absl::InvalidArgumentError(""), "/s"), "librettosctl: x: INVALID_ARGUMENT\n");
}

TEST(RenderError, TextsCannotSteerTheTerminal) {
  EXPECT_EQ(RenderError("x", absl::InvalidArgumentError("\033[2J"), "/s"), "librettosctl: x: \\x1b[2J\n");
}

}  // namespace
}  // namespace librettos::ctl
