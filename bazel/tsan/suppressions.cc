// What ThreadSanitizer is to pass over: Debian's libraries, which were not built with it, so that it does not
// see how they order their accesses. Of our own only what they alone call.
extern "C" const char* __tsan_default_suppressions() {
  return
      // Reads and writes that interceptors see (memcpy, free, operator delete) when these call them.
      "called_from_lib:libgrpc.so\n"
      "called_from_lib:libgrpc++.so\n"
      "called_from_lib:libgpr.so\n"
      "called_from_lib:libupb.so\n"
      "called_from_lib:libprotobuf.so\n"
      "called_from_lib:libabsl_status.so\n"
      "called_from_lib:libabsl_statusor.so\n"
      "called_from_lib:libabsl_strings.so\n"
      "called_from_lib:libabsl_time.so\n"
      "called_from_lib:libabsl_graphcycles_internal.so\n"
      "called_from_lib:libabsl_cord.so\n"
      "called_from_lib:libabsl_synchronization.so\n"
      // Code of gRPC's headers, on memory that gRPC gives from call to call; and what is made, called and
      // deleted by it alone, by a count of references in there.
      "race_top:grpc::\n"
      "race_top:std::function<\n"
      "race_top:std::_Function_base\n"
      "race_top:std::swap<\n"
      "race:daemon/call_limit.cc\n"
      "";
}
