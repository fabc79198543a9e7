// What an iperf peer sends: datagrams, as one test's and for themselves, and reports.
//
// Checked: the figures add up whatever the numbers and clocks say, and a report is read as it was written.
#include <array>
#include <memory>

#include "bazel/fuzz_input.h"
#include "guest/apps/iperf_header.h"

namespace librettos::apps {
namespace {

constexpr int kMaxDatagrams = 256;

void CheckReport(const IperfReport& report) {
  std::array<std::byte, kIperfReportBytes> bytes;
  WriteIperfReport(report, bytes);
  IperfReport read;
  FUZZ_CHECK(ParseIperfReport(bytes, &read));
  FUZZ_CHECK(read.bytes == report.bytes && read.lost == report.lost && read.datagrams == report.datagrams &&
             read.out_of_order == report.out_of_order);
}

void CheckTest(FuzzInput& input) {
  IperfUdpTest test;
  uint64_t now = 1'000'000, bytes = 0;
  for (int i = 0; i < kMaxDatagrams && !input.empty(); ++i) {
    const uint8_t kind = input.U8();
    now += input.U16();
    const auto taken = input.Take(kind);
    // Without slack.
    const std::unique_ptr<std::byte[]> copy(new std::byte[taken.size()]);
    std::copy(taken.begin(), taken.end(), copy.get());
    const std::span<const std::byte> data(copy.get(), taken.size());
    IperfReport report;
    if (ParseIperfReport(data, &report)) CheckReport(report);
    IperfDatagram datagram;
    if (!ParseIperfDatagram(data, &datagram)) continue;
    std::array<std::byte, kIperfDataBytes> written;
    WriteIperfDatagram(datagram, written);
    const bool ended = test.ended();
    if (!ended) bytes += data.size();
    FUZZ_CHECK(test.OnDatagram(datagram, data.size(), now) == (ended || datagram.number < 0));
    report = test.report();
    FUZZ_CHECK(report.bytes == bytes && report.duration_us <= now);
    FUZZ_CHECK(report.lost <= report.datagrams && report.out_of_order <= kMaxDatagrams);
    CheckReport(report);
  }
}

}  // namespace
}  // namespace librettos::apps

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  librettos::FuzzInput input(data, size);
  librettos::apps::CheckTest(input);
  return 0;
}
