// A libxl context and what libxl says about its failures, which its return codes do not.
//
// One thread at a time. Contexts of several threads may work at once: each is told to reap only its own
// children.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "hypervisor/xen/xen_headers.h"

namespace librettos::xen {

class LibxlContext {
 public:
  // Unavailable: this is not domain 0, or xenstored does not run.
  static absl::StatusOr<std::unique_ptr<LibxlContext>> Create();
  ~LibxlContext();
  LibxlContext(const LibxlContext&) = delete;

  libxl_ctx* get() { return context_; }
  // OK if `code` is 0; else Unavailable: `what`, and the first error that libxl logged for it.
  absl::Status Check(int code, absl::string_view what);

 private:
  // The logger that libxl calls: its table of functions first, as xentoollog has it.
  struct Log {
    xentoollog_logger functions;
    std::string first_error;
  };
  LibxlContext();

  Log log_;
  libxl_ctx* context_ = nullptr;
};

}  // namespace librettos::xen
