// The TAP driver on a real interface, in a network namespace that this test makes for itself.
#include "drivers/net/tap.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/if.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "guest/platform/process/loop.h"

namespace librettos {
namespace {

constexpr uint16_t kEtherType = 0x88b5;  // IEEE 802 local experimental: nobody else sends it.

struct Count : Handler {
  void OnEvent() override { ++calls; }
  int calls = 0;
};

class TapTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { namespace_error_ = unshare(CLONE_NEWNET) == 0 ? 0 : errno; }

  void SetUp() override {
    if (namespace_error_) GTEST_SKIP() << "no network namespace of our own: " << strerror(namespace_error_);
    tap_ = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (tap_ < 0) GTEST_SKIP() << "/dev/net/tun cannot be opened: " << strerror(errno);
    ifreq request{};
    strcpy(request.ifr_name, "tap%d");
    request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    ASSERT_EQ(ioctl(tap_, TUNSETIFF, &request), 0) << strerror(errno);
    int header = 10;
    ASSERT_EQ(ioctl(tap_, TUNSETVNETHDRSZ, &header), 0);
    ASSERT_EQ(ioctl(tap_, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6), 0);
    name_ = request.ifr_name;
    wire_ = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ASSERT_GE(wire_, 0);
    ifreq index{};
    strcpy(index.ifr_name, name_.c_str());
    ASSERT_EQ(ioctl(wire_, SIOCGIFINDEX, &index), 0);
    SetUp(true);  // Before bind(), which reports a socket of an interface that is down as broken.
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(kEtherType);
    address.sll_ifindex = index.ifr_ifindex;
    ASSERT_EQ(bind(wire_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    Device device{};
    strcpy(device.name, "nic0");
    device.kind = DeviceKind::kTap;
    device.descriptor = tap_;
    device.mtu = 1500;
    device.address[5] = 7;
    Result<Nic*> nic = TapNic::Create(loop_, device);
    ASSERT_TRUE(nic.ok());
    nic_.reset(*nic);
  }

  void TearDown() override {
    nic_.reset();
    if (tap_ >= 0) close(tap_);
    if (wire_ >= 0) close(wire_);
  }

  void SetUp(bool up) {
    ifreq request{};
    strcpy(request.ifr_name, name_.c_str());
    ASSERT_EQ(ioctl(wire_, SIOCGIFFLAGS, &request), 0);
    if (up) {
      request.ifr_flags |= IFF_UP;
    } else {
      request.ifr_flags &= static_cast<short>(~IFF_UP);
    }
    ASSERT_EQ(ioctl(wire_, SIOCSIFFLAGS, &request), 0) << strerror(errno);
  }

  static std::vector<std::byte> Frame(size_t length, uint8_t mark) {
    std::vector<std::byte> frame(length, std::byte{mark});
    memset(frame.data(), 0xff, 6);
    const uint16_t type = htons(kEtherType);
    memcpy(frame.data() + 12, &type, 2);
    return frame;
  }

  size_t Send(const std::vector<std::byte>& frame, const Offload& offload = {}) {
    const Part parts[] = {{frame.data(), 14}, {frame.data() + 14, static_cast<uint32_t>(frame.size() - 14)}};
    const OutFrame out{parts, static_cast<uint32_t>(frame.size()), offload};
    return nic_->Transmit({&out, 1});
  }

  std::vector<std::byte> FromWire() {
    std::vector<std::byte> frame(70000);
    const ssize_t got = recv(wire_, frame.data(), frame.size(), MSG_DONTWAIT);
    frame.resize(got < 0 ? 0 : static_cast<size_t>(got));
    return frame;
  }

  // Our own frames; the kernel may send some of its own (router solicitations).
  std::vector<std::vector<std::byte>> ReceiveOurs(size_t batch) {
    std::vector<std::vector<std::byte>> ours;
    std::vector<std::vector<std::byte>> buffers(batch, std::vector<std::byte>(70000));
    for (;;) {
      std::vector<InFrame> frames(batch);
      for (size_t i = 0; i < batch; ++i) frames[i].buffer = buffers[i];
      const size_t filled = nic_->Receive(frames);
      for (size_t i = 0; i < filled; ++i) {
        std::vector<std::byte> frame(buffers[i].begin(), buffers[i].begin() + frames[i].length);
        uint16_t type;
        memcpy(&type, frame.data() + 12, 2);
        if (type == htons(kEtherType)) ours.push_back(frame);
      }
      if (filled < batch) return ours;
    }
  }

  static inline int namespace_error_ = 0;
  process::ProcessLoop loop_;
  int tap_ = -1;
  int wire_ = -1;
  std::string name_;
  std::unique_ptr<Nic> nic_;
};

TEST_F(TapTest, TellsWhatTheDeviceSays) {
  EXPECT_EQ(nic_->mtu(), 1500u);
  EXPECT_EQ(nic_->address()[5], 7);
  EXPECT_TRUE(nic_->features().segmentation);
}

TEST_F(TapTest, TransmitReachesTheWireInOrder) {
  EXPECT_EQ(Send(Frame(60, 1)), 1u);
  EXPECT_EQ(Send(Frame(1514, 2)), 1u);
  EXPECT_EQ(FromWire(), Frame(60, 1));
  EXPECT_EQ(FromWire(), Frame(1514, 2));
  EXPECT_EQ(nic_->counters().tx_frames, 2u);
  EXPECT_EQ(nic_->counters().tx_bytes, 1574u);
  EXPECT_EQ(nic_->counters().tx_errors, 0u);
}

TEST_F(TapTest, BadFramesAreConsumedAndCounted) {
  const Offload beyond{.needs_checksum = true, .checksum_start = 50, .checksum_offset = 16};
  EXPECT_EQ(Send(Frame(60, 1), beyond), 1u);
  const auto frame = Frame(60, 1);
  const Part part{frame.data(), 60};
  const OutFrame lie{{&part, 1}, 61, {}};
  EXPECT_EQ(nic_->Transmit({&lie, 1}), 1u);
  std::vector<Part> many(65, Part{frame.data(), 1});
  const OutFrame scattered{many, 65, {}};
  EXPECT_EQ(nic_->Transmit({&scattered, 1}), 1u);
  EXPECT_EQ(nic_->counters().tx_errors, 3u);
  EXPECT_TRUE(FromWire().empty());
}

TEST_F(TapTest, InterfaceThatIsDownTakesAndLoses) {
  SetUp(false);
  EXPECT_EQ(Send(Frame(60, 1)), 1u);
  EXPECT_EQ(nic_->counters().tx_errors, 1u);
}

TEST_F(TapTest, ReceivesInBatchesAndThenNothing) {
  for (uint8_t i = 0; i < 5; ++i) {
    const auto frame = Frame(60 + i, i);
    ASSERT_EQ(send(wire_, frame.data(), frame.size(), 0), static_cast<ssize_t>(frame.size()))
        << strerror(errno);
  }
  const auto ours = ReceiveOurs(2);
  ASSERT_EQ(ours.size(), 5u);
  for (uint8_t i = 0; i < 5; ++i) EXPECT_EQ(ours[i], Frame(60 + i, i));
  EXPECT_GE(nic_->counters().rx_frames, 5u);
  InFrame none;
  std::byte buffer[2000];
  none.buffer = buffer;
  EXPECT_EQ(nic_->Receive({&none, 1}), 0u);
}

TEST_F(TapTest, FrameLongerThanItsBufferIsCountedAndSkipped) {
  ReceiveOurs(4);
  const uint64_t before = nic_->counters().rx_errors;
  const auto big = Frame(1000, 1), small = Frame(100, 2);
  ASSERT_GT(send(wire_, big.data(), big.size(), 0), 0);
  ASSERT_GT(send(wire_, small.data(), small.size(), 0), 0);
  std::byte buffer[500];
  InFrame frame;
  frame.buffer = buffer;
  ASSERT_EQ(nic_->Receive({&frame, 1}), 1u);
  EXPECT_EQ(frame.length, 100u);
  EXPECT_EQ(nic_->counters().rx_errors, before + 1);
}

TEST_F(TapTest, HandlerIsLevelTriggeredAndCanBeTakenAway) {
  ReceiveOurs(4);
  Count count;
  nic_->SetHandler(&count);
  const auto frame = Frame(60, 1);
  ASSERT_GT(send(wire_, frame.data(), frame.size(), 0), 0);
  loop_.Wait(Now() + 1000000000);
  loop_.Wait(Now() + 1000000000);
  EXPECT_EQ(count.calls, 2);
  nic_->SetHandler(nullptr);
  loop_.Wait(Now() + 1000);
  EXPECT_EQ(count.calls, 2);
  EXPECT_EQ(ReceiveOurs(4).size(), 1u);
}

TEST_F(TapTest, LargeSegmentIsTaken) {
  // IPv4 + TCP with a partial checksum, 4000 bytes of payload in segments of 1448.
  std::vector<std::byte> frame(14 + 20 + 20 + 4000);
  memset(frame.data(), 0xff, 6);
  const uint8_t ip[] = {0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2};
  const uint16_t type = htons(0x0800);
  memcpy(frame.data() + 12, &type, 2);
  memcpy(frame.data() + 14, ip, sizeof(ip));
  const uint16_t total = htons(20 + 20 + 4000);
  memcpy(frame.data() + 16, &total, 2);
  frame[14 + 20 + 12] = std::byte{0x50};
  frame[14 + 20 + 13] = std::byte{0x10};
  const Offload offload{.needs_checksum = true,
                        .segmentation = Segmentation::kTcp4,
                        .segment_bytes = 1448,
                        .header_bytes = 54,
                        .checksum_start = 34,
                        .checksum_offset = 16};
  EXPECT_EQ(Send(frame, offload), 1u);
  EXPECT_EQ(nic_->counters().tx_errors, 0u);
}

TEST(TapNic, RefusesWhatIsNoTap) {
  process::ProcessLoop loop;
  Device device{};
  device.kind = DeviceKind::kPci;
  device.descriptor = 1;
  EXPECT_EQ(TapNic::Create(loop, device).error(), Error::kInvalidArgument);
  device.kind = DeviceKind::kTap;
  device.descriptor = -1;
  EXPECT_EQ(TapNic::Create(loop, device).error(), Error::kInvalidArgument);
}

}  // namespace
}  // namespace librettos
