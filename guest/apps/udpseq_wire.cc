#include "guest/apps/udpseq_wire.h"

#include <algorithm>

namespace librettos::apps {

void UdpseqFigures::Add(const SequenceTracker& stream) {
  received += stream.received();
  lost += stream.lost();
  duplicates += stream.duplicates();
  reordered += stream.reordered();
  late += stream.late();
  max_gap_us = std::max(max_gap_us, stream.max_gap() / 1000);
  first = stream.lowest();
  last = stream.highest();
  ++streams;
}

void UdpseqFigures::AddJson(Text& out) const {
  const struct {
    std::string_view name;
    uint64_t value;
  } fields[] = {{"received", received},   {"lost", lost}, {"duplicates", duplicates},
                {"reordered", reordered}, {"late", late}, {"max_gap_us", max_gap_us},
                {"first", first},         {"last", last}, {"streams", streams}};
  char separator = '{';
  for (const auto& field : fields) {
    out.Add(separator).Add('"').Add(field.name).Add("\":").AddNumber(field.value);
    separator = ',';
  }
  out.Add('}');
}

}  // namespace librettos::apps
