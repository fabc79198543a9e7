#include "guest/platform/xen/xenstore_ring.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "guest/platform/xen/testing/fake_xenstored.h"

namespace librettos::xen {
namespace {

struct Message {
  uint32_t type;
  uint32_t id;
  std::string payload;
  bool operator==(const Message&) const = default;
};

struct Received : XenstoreReceiver {
  void OnMessage(uint32_t type, uint32_t id, std::string_view payload) override {
    messages.push_back({type, id, std::string(payload)});
  }
  std::vector<Message> messages;
};

const std::string_view kNul("\0", 1);

struct XenstoreRingTest : testing::Test {
  void Run() {
    for (int i = 0; i < 10000 && (ring.Turn(received) | store.Serve()); ++i) {
    }
  }
  FakeXenstored store;
  XenstoreRing ring{store.page()};
  Received received;
};

TEST_F(XenstoreRingTest, RequestsAreAnsweredInOrder) {
  store.Write("/a", "1");
  ASSERT_TRUE(ring.Send(XS_READ, 7, {"/a", kNul}).ok());
  ASSERT_TRUE(ring.Send(XS_READ, 8, {"/b", kNul}).ok());
  Run();
  ASSERT_EQ(received.messages.size(), 2u);
  EXPECT_EQ(received.messages[0], (Message{XS_READ, 7, "1"}));
  EXPECT_EQ(received.messages[1], (Message{XS_ERROR, 8, std::string("ENOENT\0", 7)}));
}

TEST_F(XenstoreRingTest, MessagesMayArriveByteByByte) {
  store.bytes_per_turn = 1;
  store.Write("/a", "value");
  ASSERT_TRUE(ring.Send(XS_READ, 7, {"/a", kNul}).ok());
  Run();
  ASSERT_EQ(received.messages.size(), 1u);
  EXPECT_EQ(received.messages[0], (Message{XS_READ, 7, "value"}));
}

TEST_F(XenstoreRingTest, LongMessagesWrapAround) {
  std::string value;
  for (int i = 0; i < 4000; ++i) value += static_cast<char>('a' + i % 26);
  for (uint32_t id = 0; id < 20; ++id) {
    ASSERT_TRUE(ring.Send(XS_WRITE, id, {"/a", kNul, value}).ok());
    ASSERT_TRUE(ring.Send(XS_READ, 100 + id, {"/a", kNul}).ok());
    Run();
    ASSERT_EQ(received.messages.size(), 2u);
    EXPECT_EQ(received.messages[1], (Message{XS_READ, 100 + id, value}));
    received.messages.clear();
    value.resize(value.size() - 7);
  }
}

TEST_F(XenstoreRingTest, IndicesMayWrap) {
  auto* page = store.page();
  page->req_prod = page->req_cons = page->rsp_prod = page->rsp_cons = 0xfffffff0;
  store.Write("/a", "1");
  ASSERT_TRUE(ring.Send(XS_READ, 7, {"/a", kNul}).ok());
  Run();
  ASSERT_EQ(received.messages.size(), 1u);
  EXPECT_EQ(received.messages[0].payload, "1");
}

TEST_F(XenstoreRingTest, FullQueueRefusesUntilThereIsRoom) {
  const std::string value(4000, 'x');
  int sent = 0;
  while (ring.Send(XS_WRITE, 1, {"/a", kNul, value}).ok()) ++sent;
  EXPECT_EQ(sent, 4);
  EXPECT_EQ(ring.Send(XS_WRITE, 1, {"/a", kNul, value}).error(), Error::kAgain);
  Run();
  EXPECT_EQ(received.messages.size(), 4u);
  EXPECT_TRUE(ring.Send(XS_WRITE, 1, {"/a", kNul, value}).ok());
}

TEST_F(XenstoreRingTest, TooLongARequestIsRefused) {
  EXPECT_EQ(ring.Send(XS_WRITE, 1, {std::string(XENSTORE_PAYLOAD_MAX + 1, 'x')}).error(),
            Error::kInvalidArgument);
}

TEST_F(XenstoreRingTest, SignalsOnlyWhenSomethingMoved) {
  EXPECT_FALSE(ring.Turn(received));
  ASSERT_TRUE(ring.Send(XS_READ, 1, {"/a", kNul}).ok());
  EXPECT_TRUE(ring.Turn(received));
  EXPECT_FALSE(ring.Turn(received));
}

TEST_F(XenstoreRingTest, TooLongAMessageBreaksTheConnection) {
  const xsd_sockmsg header = {XS_READ, 1, 0, XENSTORE_PAYLOAD_MAX + 1};
  store.SendRaw({reinterpret_cast<const char*>(&header), sizeof(header)});
  store.SendRaw(std::string(900, 'x'));
  Run();
  EXPECT_TRUE(ring.broken());
  EXPECT_TRUE(received.messages.empty());
  EXPECT_EQ(ring.Send(XS_READ, 1, {"/a", kNul}).error(), Error::kProtocol);
  EXPECT_FALSE(ring.Turn(received));
}

TEST_F(XenstoreRingTest, LongestMessageIsTaken) {
  store.SendMessage(XS_READ, 1, std::string(XENSTORE_PAYLOAD_MAX, 'x'));
  Run();
  ASSERT_EQ(received.messages.size(), 1u);
  EXPECT_EQ(received.messages[0].payload.size(), size_t{XENSTORE_PAYLOAD_MAX});
}

TEST_F(XenstoreRingTest, WrongReplyIndexBreaksTheConnection) {
  store.page()->rsp_prod = store.page()->rsp_cons + XENSTORE_RING_SIZE + 1;
  EXPECT_FALSE(ring.Turn(received));
  EXPECT_TRUE(ring.broken());
}

TEST_F(XenstoreRingTest, WrongRequestIndexBreaksTheConnection) {
  store.page()->req_cons = store.page()->req_prod + 1;
  ASSERT_TRUE(ring.Send(XS_READ, 1, {"/a", kNul}).ok());
  EXPECT_FALSE(ring.Turn(received));
  EXPECT_TRUE(ring.broken());
}

}  // namespace
}  // namespace librettos::xen
