#include "drivers/net/pci_nic.h"

#include <gtest/gtest.h>

#include "drivers/net/gather.h"
#include "drivers/net/moderation.h"
#include "drivers/net/pci_capability.h"
#include "drivers/net/testing/fake_pci.h"

namespace librettos {
namespace {

TEST(PciCapability, FindsEachOfAKind) {
  fake::FakePci pci(1, 2, {});  // Has MSI-X at 0x40.
  const uint8_t first = pci.AddCapability(0x09, {1, 2});
  pci.AddCapability(0x05, {});
  const uint8_t second = pci.AddCapability(0x09, {});
  EXPECT_EQ(pci::NextCapability(pci, 0x09), first);
  EXPECT_EQ(pci::NextCapability(pci, 0x09, first), second);
  EXPECT_EQ(pci::NextCapability(pci, 0x09, second), 0);
  EXPECT_EQ(pci::NextCapability(pci, 0x10), 0);
}

TEST(PciCapability, EndsInALoop) {
  fake::FakePci pci(1, 2, {});
  const uint8_t at = pci.AddCapability(0x09, {});
  pci.config()[at + 1] = 0x40;
  EXPECT_EQ(pci::NextCapability(pci, 0x10), 0);
  pci.config()[at + 1] = at;
  EXPECT_EQ(pci::NextCapability(pci, 0x10), 0);
}

TEST(PciCapability, DoesNotFollowIntoTheHeader) {
  fake::FakePci pci(0x09, 2, {});
  pci.config()[0x34] = 0x3f;
  EXPECT_EQ(pci::NextCapability(pci, 0x09), 0);
}

TEST(PciCapability, HasNoneWithoutAListOrWithdrawn) {
  fake::FakePci pci(1, 2, {});
  pci.config()[6] = 0;
  EXPECT_EQ(pci::NextCapability(pci, pci::kMsiX), 0);
  pci.config()[6] = 0x10;
  EXPECT_NE(pci::NextCapability(pci, pci::kMsiX), 0);
  pci.Withdraw();
  EXPECT_EQ(pci::NextCapability(pci, pci::kMsiX), 0);
}

TEST(PciCapability, TellsMsiXFromMsi) {
  fake::FakePci pci(1, 2, {});
  EXPECT_FALSE(pci::MsiXEnabled(pci));
  ASSERT_TRUE(pci.EnableInterrupts(2).ok());
  EXPECT_TRUE(pci::MsiXEnabled(pci));
  pci.DisableInterrupts();
  pci.SetInterrupts(false, 1);
  ASSERT_TRUE(pci.EnableInterrupts(2).ok());
  EXPECT_FALSE(pci::MsiXEnabled(pci));
}

TEST(PciCapability, KeepsTheLinkAwake) {
  fake::FakePci pci(1, 2, {});
  pci::DisableLinkPowerManagement(pci);  // Not there.
  const uint8_t at = pci.AddCapability(pci::kExpress, std::vector<uint8_t>(20));
  pci.WriteConfig(at + 0x10, 2, 0x143);
  pci::DisableLinkPowerManagement(pci);
  EXPECT_EQ(pci.ReadConfig(at + 0x10, 2), 0x140u);
}

TEST(Gather, CopiesAcrossParts) {
  const std::byte bytes[] = {std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};
  const Part parts[] = {{bytes, 1}, {bytes + 1, 0}, {bytes + 1, 3}};
  const OutFrame frame{parts, 4, {}};
  Gather gather(frame);
  std::byte out[4] = {};
  EXPECT_TRUE(gather.Copy(out, 2));
  EXPECT_TRUE(gather.Copy(out + 2, 2));
  EXPECT_TRUE(std::equal(out, out + 4, bytes));
  EXPECT_FALSE(gather.Copy(out, 1));
}

TEST(Gather, KnowsAWholeFrame) {
  const std::vector<std::byte> bytes(70000);
  Part part{bytes.data(), 14};
  EXPECT_TRUE(Gather::IsWhole({{&part, 1}, 14, {}}));
  EXPECT_FALSE(Gather::IsWhole({{&part, 1}, 15, {}}));
  part.length = 13;
  EXPECT_FALSE(Gather::IsWhole({{&part, 1}, 13, {}}));
  part.length = kMaxFrameBytes + 1;
  EXPECT_FALSE(Gather::IsWhole({{&part, 1}, part.length, {}}));
  // A sum that wraps around.
  const Part wrap[] = {{bytes.data(), 0xffffffff}, {bytes.data(), 101}};
  EXPECT_FALSE(Gather::IsWhole({wrap, 100, {}}));
}

TEST(Moderation, FollowsTheLoad) {
  Moderation moderation;
  EXPECT_EQ(moderation.interval(), Moderation::kNone);
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(moderation.OnInterrupt(1));
  for (int i = 0; i < 20; ++i) (void)moderation.OnInterrupt(10);
  EXPECT_EQ(moderation.interval(), Moderation::kSome);
  for (int i = 0; i < 20; ++i) (void)moderation.OnInterrupt(1'000'000'000'000);
  EXPECT_EQ(moderation.interval(), Moderation::kBulk);
  for (int i = 0; i < 40; ++i) (void)moderation.OnInterrupt(0);
  EXPECT_EQ(moderation.interval(), Moderation::kNone);
}

}  // namespace
}  // namespace librettos
