// The client's end of a xenstore connection: xenstored's messages (xen/include/public/io/xs_wire.h) over the
// two byte rings of a shared page.
//
// Never blocks, never allocates. Loop thread only. What the page holds is untrusted: each index is loaded
// once and checked, message bytes are copied before they are looked at. A violation ends the connection for
// good, as no boundary of messages can be found any more; the data path does not depend on it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "guest/platform/result.h"
#include "guest/platform/xen/abi.h"

namespace librettos::xen {

class XenstoreReceiver {
 public:
  // A whole message: a reply (with the id of its request) or a watch event (id 0). `payload` is valid during
  // the call only, at most XENSTORE_PAYLOAD_MAX bytes, and may hold anything.
  virtual void OnMessage(uint32_t type, uint32_t id, std::string_view payload) = 0;

 protected:
  ~XenstoreReceiver() = default;
};

class XenstoreRing {
 public:
  static constexpr size_t kQueueBytes = 16 * 1024;

  // `shared` stays mapped as long as the object lives.
  explicit XenstoreRing(xenstore_domain_interface* shared) : shared_(shared) {}
  XenstoreRing(const XenstoreRing&) = delete;
  XenstoreRing& operator=(const XenstoreRing&) = delete;

  // Queues a request whose payload is `parts` one after the other (a path needs its NUL). kAgain: the queue
  // is full, after some Turn it is not; kInvalidArgument: too long ever; kProtocol: broken.
  Status Send(uint32_t type, uint32_t id, std::initializer_list<std::string_view> parts);
  // Takes what has arrived, and hands over what is queued as far as there is room. True: xenstored is to be
  // signalled. `receiver` may Send.
  bool Turn(XenstoreReceiver& receiver);
  // Only hands over: for a domain that dies within OnMessage.
  bool Flush() { return Transmit(); }
  // All that was queued is handed over.
  bool sent() const { return sent_ == queued_; }

  bool broken() const { return broken_; }

 private:
  bool Receive(XenstoreReceiver& receiver);
  bool Transmit();
  void Take(const char* bytes, size_t size, XenstoreReceiver& receiver);
  bool Break();

  xenstore_domain_interface* shared_;
  bool broken_ = false;
  std::array<char, kQueueBytes> queue_;  // Whole messages; [sent_, queued_) is still to go.
  size_t sent_ = 0;
  size_t queued_ = 0;
  std::array<char, sizeof(xsd_sockmsg) + XENSTORE_PAYLOAD_MAX> arriving_;
  size_t arrived_ = 0;
};

}  // namespace librettos::xen
