#include "drivers/net/tap.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>

#include <atomic>
#include <new>

#include "drivers/net/tap_header.h"

namespace librettos {
namespace {

constexpr size_t kMaxGather = 64;  // Parts of a frame, without the vnet header.

}  // namespace

Result<Nic*> TapNic::Create(process::DescriptorLoop& loop, const Device& device) {
  if (device.kind != DeviceKind::kTap || device.descriptor < 0) return Error::kInvalidArgument;
  auto* nic = new (std::nothrow) TapNic(loop, device);
  if (!nic) return Error::kExhausted;
  return static_cast<Nic*>(nic);
}

TapNic::TapNic(process::DescriptorLoop& loop, const Device& device)
    : loop_(loop), descriptor_(device.descriptor), mtu_(device.mtu) {
  memcpy(address_.data(), device.address, address_.size());
}

TapNic::~TapNic() { SetHandler(nullptr); }

void TapNic::SetHandler(Handler* handler) {
  const bool watched = handler_ != nullptr;
  handler_ = handler;
  if (handler_) {
    Watch();
  } else if (watched) {
    loop_.Remove(descriptor_);
  }
}

void TapNic::Watch() {
  if (gone_ || !handler_) return;
  const uint32_t events = awaiting_room_ ? EPOLLIN | EPOLLOUT : EPOLLIN;
  if (!loop_.Add(descriptor_, events, this).ok()) Log("tap: the descriptor cannot be watched");
}

void TapNic::OnEvent() {
  if (awaiting_room_) {
    awaiting_room_ = false;
    Watch();
  }
  if (handler_) handler_->OnEvent();
}

TapNic::Sent TapNic::SendOne(const OutFrame& frame) {
  VnetHeader header;
  iovec parts[kMaxGather + 1];
  if (frame.parts.size() > kMaxGather || !ToHeader(frame.offload, frame.length, header))
    return Sent::kRefused;
  parts[0] = {&header, sizeof(header)};
  size_t count = 1;
  uint64_t length = 0;
  for (const Part& part : frame.parts) {
    parts[count++] = {const_cast<std::byte*>(part.data), part.length};
    length += part.length;
  }
  if (length != frame.length) return Sent::kRefused;
  for (;;) {
    if (writev(descriptor_, parts, static_cast<int>(count)) >= 0) return Sent::kTaken;
    switch (errno) {
      case EINTR:
        continue;
      case EAGAIN:
      case ENOBUFS:
      case ENOMEM:
        return Sent::kFull;
      default:
        // EINVAL: a frame that the kernel finds bad; EIO: the interface is down, as a cable that is not
        // plugged in.
        return Sent::kRefused;
    }
  }
}

// The kernel takes writes of several threads at once.
size_t TapNic::Send(std::span<const OutFrame> frames) {
  size_t taken = 0;
  uint64_t bytes = 0, refused = 0;
  for (const OutFrame& frame : frames) {
    const Sent sent = SendOne(frame);
    if (sent == Sent::kFull) break;
    ++taken;
    bytes += frame.length;
    refused += sent == Sent::kRefused;
  }
  // Relaxed: statistics.
  const auto count = [](uint64_t& counter, uint64_t by) {
    std::atomic_ref(counter).fetch_add(by, std::memory_order_relaxed);
  };
  count(counters_.tx_frames, taken);
  count(counters_.tx_bytes, bytes);
  count(counters_.tx_errors, refused);
  return taken;
}

size_t TapNic::Transmit(std::span<const OutFrame> frames) {
  const size_t taken = Send(frames);
  if (taken < frames.size() && !awaiting_room_) {
    awaiting_room_ = true;
    Watch();
  }
  return taken;
}

size_t TapNic::Receive(std::span<InFrame> frames) {
  size_t filled = 0;
  while (filled < frames.size() && !gone_) {
    InFrame& frame = frames[filled];
    VnetHeader header;
    std::byte beyond;  // Is written to only if the frame is longer than its buffer.
    iovec parts[3] = {
        {&header, sizeof(header)}, {frame.buffer.data(), frame.buffer.size()}, {&beyond, sizeof(beyond)}};
    const ssize_t got = readv(descriptor_, parts, 3);
    if (got < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) {
        Log("tap: the interface is gone");
        ++counters_.rx_errors;
        loop_.Remove(descriptor_);  // It would be ready for ever.
        gone_ = true;
      }
      break;
    }
    const size_t length = static_cast<size_t>(got) - sizeof(header);
    if (static_cast<size_t>(got) < sizeof(header) + kEthernetHeaderBytes || length > frame.buffer.size() ||
        !FromHeader(header, static_cast<uint32_t>(length), frame.offload)) {
      ++counters_.rx_errors;
      continue;
    }
    frame.length = static_cast<uint32_t>(length);
    ++counters_.rx_frames;
    counters_.rx_bytes += length;
    ++filled;
  }
  return filled;
}

}  // namespace librettos
