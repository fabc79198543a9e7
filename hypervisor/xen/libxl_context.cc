#include "hypervisor/xen/libxl_context.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "absl/strings/str_cat.h"

namespace librettos::xen {
namespace {

constexpr libxl_childproc_hooks kChildren = {
    .chldowner = libxl_sigchld_owner_libxl_always_selective_reap,
    .fork_replacement = nullptr,
    .reaped_callback = nullptr,
};

}  // namespace

LibxlContext::LibxlContext() {
  log_.functions.vmessage = [](xentoollog_logger* logger, xentoollog_level level, int error, const char*,
                               const char* format, va_list arguments) {
    if (level < XTL_ERROR) return;
    char text[512];
    vsnprintf(text, sizeof(text), format, arguments);
    auto* log = reinterpret_cast<Log*>(logger);
    if (log->first_error.empty()) {
      log->first_error = error > 0 ? absl::StrCat(text, ": ", strerror(error)) : std::string(text);
    }
    fprintf(stderr, "libxl: %s\n", text);
  };
  log_.functions.progress = [](xentoollog_logger*, const char*, const char*, int, unsigned long,
                               unsigned long) {};
  log_.functions.destroy = [](xentoollog_logger*) {};
}

absl::StatusOr<std::unique_ptr<LibxlContext>> LibxlContext::Create() {
  std::unique_ptr<LibxlContext> made(new LibxlContext);
  const int code = libxl_ctx_alloc(&made->context_, LIBXL_VERSION, 0, &made->log_.functions);
  if (absl::Status status = made->Check(code, "libxl cannot be used; does xen.service run?"); !status.ok()) {
    return status;
  }
  libxl_childproc_setmode(made->context_, &kChildren, nullptr);
  return made;
}

LibxlContext::~LibxlContext() { libxl_ctx_free(context_); }

absl::Status LibxlContext::Check(int code, absl::string_view what) {
  const std::string said = std::move(log_.first_error);
  log_.first_error.clear();
  if (code == 0) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat(what, ": ", said.empty() ? absl::StrCat("libxl error ", code) : said));
}

}  // namespace librettos::xen
