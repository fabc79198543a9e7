#include "guest/net/config_reader.h"

#include "guest/channel/layout.h"
#include "guest/net/text.h"

namespace librettos::guest {

ConfigReader::ConfigReader(Platform& platform) : platform_(platform) {
  (Text() << "/local/domain/" << uint64_t{platform.self()} << "/device/vif/0").CopyTo(base_);
}

ConfigReader::~ConfigReader() { platform_.registry().Unwatch(base_, this); }

Status ConfigReader::Start() { return platform_.registry().Watch(base_, this); }

bool ConfigReader::Complete(Nanoseconds now) {
  if (!mac_ || !addresses_) return false;
  if (needed_since_ == 0) needed_since_ = now;
  return (mtu_ && shared_ && pairs_) || now - needed_since_ >= kGrace;
}

void ConfigReader::OnKey(std::string_view path, std::string_view value, bool present) {
  std::string_view base(base_);
  if (!present || path.size() <= base.size() + 1) return;
  std::string_view key = path.substr(base.size() + 1);
  bool good = true;
  uint32_t number;
  if (key == "mac") {
    good = mac_ = ParseMac(value, &config_.mac);
  } else if (key == "addresses") {
    good = addresses_ = ParseAddressList(value, &config_);
  } else if (key == "gateway4") {
    good = config_.has_gateway4 = ParseAddress(value, &config_.gateway4) && IP_IS_V4(&config_.gateway4);
  } else if (key == "gateway6") {
    good = config_.has_gateway6 = ParseAddress(value, &config_.gateway6) && IP_IS_V6(&config_.gateway6);
  } else if (key == "mtu") {
    good = mtu_ = ParseNumber(value, 1280, 9000, &config_.mtu);
  } else if (key == "shared") {
    good = shared_ = ParseNumber(value, 0, 1, &number);
    if (good) config_.shared = number == 1;
  } else if (key == "queue-pairs") {
    good = pairs_ = ParseNumber(value, 1, channel::kMaxQueuePairs, &config_.queue_pairs);
  }
  if (!good) Log((Text() << "net: the value of " << path << " cannot be used: " << value).view());
}

}  // namespace librettos::guest
