#include "hypervisor/process/grants.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

namespace librettos::process {
namespace {

SharedDescriptor Memory(off_t bytes = 8192, int seals = F_SEAL_SHRINK) {
  Descriptor memory(memfd_create("test", MFD_ALLOW_SEALING | MFD_CLOEXEC));
  EXPECT_EQ(ftruncate(memory.get(), bytes), 0);
  EXPECT_EQ(fcntl(memory.get(), F_ADD_SEALS, seals), 0);
  return std::make_shared<Descriptor>(std::move(memory));
}

SharedDescriptor Event() { return std::make_shared<Descriptor>(eventfd(0, EFD_CLOEXEC)); }

bool Maps(const Grants::Memory& memory, int protection) {
  void* base = mmap(nullptr, memory.bytes, protection, MAP_SHARED, memory.descriptor->get(), 0);
  if (base == MAP_FAILED) return false;
  munmap(base, memory.bytes);
  return true;
}

TEST(GrantsTest, GivesMemoryToTheNamedPeerOnly) {
  Grants grants;
  ASSERT_TRUE(grants.Grant(7, 1, 2, true, Memory()).ok());
  const auto memory = grants.Map(2, 7, 1, true);
  ASSERT_TRUE(memory.ok());
  EXPECT_EQ(memory->bytes, 8192u);
  EXPECT_TRUE(Maps(*memory, PROT_READ | PROT_WRITE));
  EXPECT_TRUE(absl::IsPermissionDenied(grants.Map(3, 7, 1, false).status()));
  EXPECT_TRUE(absl::IsPermissionDenied(grants.Map(0, 7, 1, false).status()));
  EXPECT_TRUE(absl::IsPermissionDenied(grants.Map(7, 7, 1, false).status()));
  EXPECT_TRUE(absl::IsNotFound(grants.Map(2, 7, 2, true).status()));
  EXPECT_TRUE(absl::IsNotFound(grants.Map(2, 8, 1, true).status()));
  grants.Revoke(8, 1);
  EXPECT_TRUE(grants.Map(2, 7, 1, true).ok());
  grants.Revoke(7, 1);
  EXPECT_TRUE(absl::IsNotFound(grants.Map(2, 7, 1, true).status()));
}

TEST(GrantsTest, AReadOnlyGrantCannotBeMappedForWriting) {
  Grants grants;
  ASSERT_TRUE(grants.Grant(7, 1, 2, false, Memory()).ok());
  EXPECT_TRUE(absl::IsPermissionDenied(grants.Map(2, 7, 1, true).status()));
  const auto memory = grants.Map(2, 7, 1, false);
  ASSERT_TRUE(memory.ok()) << memory.status();
  EXPECT_TRUE(Maps(*memory, PROT_READ));
  EXPECT_FALSE(Maps(*memory, PROT_READ | PROT_WRITE));
}

TEST(GrantsTest, RefusesMemoryThatIsNotSafeToMap) {
  Grants grants;
  const auto refused = [&](SharedDescriptor memory) {
    return absl::IsInvalidArgument(grants.Grant(7, 1, 2, true, std::move(memory)));
  };
  EXPECT_TRUE(refused(Memory(8192, 0)));  // Can shrink.
  EXPECT_TRUE(refused(Memory(8192, F_SEAL_GROW)));
  EXPECT_TRUE(refused(Memory(0)));
  EXPECT_TRUE(refused(Memory(4095)));
  EXPECT_TRUE(refused(Memory((1ll << 30) + 4096)));
  EXPECT_TRUE(refused(Event()));
  EXPECT_TRUE(refused(std::make_shared<Descriptor>(open("/dev/zero", O_RDWR | O_CLOEXEC))));
  EXPECT_TRUE(absl::IsInvalidArgument(grants.Grant(7, 0, 2, true, Memory())));
  EXPECT_TRUE(absl::IsInvalidArgument(grants.Grant(7, 1, 7, true, Memory())));
  EXPECT_EQ(grants.size(), 0u);
}

TEST(GrantsTest, QuotaPerDomain) {
  Grants grants;
  const SharedDescriptor memory = Memory(), event = Event();
  for (uint32_t i = 1; i <= kMaxGrants; ++i) ASSERT_TRUE(grants.Grant(7, i, 2, true, memory).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(grants.Grant(7, kMaxGrants + 1, 2, true, memory)));
  EXPECT_TRUE(grants.Grant(7, 1, 3, true, memory).ok());  // Replaced.
  EXPECT_TRUE(grants.Grant(8, 1, 2, true, memory).ok());
  for (uint32_t i = 1; i <= kMaxPorts; ++i) ASSERT_TRUE(grants.Offer(7, i, 2, {event, event}).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(grants.Offer(7, kMaxPorts + 1, 2, {event, event})));
}

TEST(GrantsTest, BindsDoorbellsForTheNamedPeerOnly) {
  Grants grants;
  const SharedDescriptor signal = Event(), wait = Event();
  ASSERT_TRUE(grants.Offer(7, 4, 2, {signal, wait}).ok());
  EXPECT_NE(fcntl(signal->get(), F_GETFL) & O_NONBLOCK, 0);
  const auto bound = grants.Bind(2, 7, 4);
  ASSERT_TRUE(bound.ok());
  EXPECT_EQ((*bound)[0], signal);
  EXPECT_EQ((*bound)[1], wait);
  EXPECT_TRUE(absl::IsPermissionDenied(grants.Bind(3, 7, 4).status()));
  EXPECT_TRUE(absl::IsNotFound(grants.Bind(2, 7, 5).status()));
  grants.ClosePort(7, 4);
  EXPECT_TRUE(absl::IsNotFound(grants.Bind(2, 7, 4).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(grants.Offer(7, 4, 2, {signal, Memory()})));
  EXPECT_TRUE(absl::IsInvalidArgument(grants.Offer(7, 0, 2, {signal, wait})));
}

TEST(GrantsTest, DeclarationAndEnd) {
  Grants grants;
  const SharedDescriptor event = Event();
  ASSERT_TRUE(grants.Grant(7, 1, 2, true, Memory()).ok());
  ASSERT_TRUE(grants.Grant(7, UINT32_MAX, 2, true, Memory()).ok());
  ASSERT_TRUE(grants.Grant(8, 1, 2, true, Memory()).ok());
  ASSERT_TRUE(grants.Offer(7, 1, 2, {event, event}).ok());
  grants.BeginDeclaration(7);
  EXPECT_TRUE(grants.Map(2, 7, 1, true).ok());  // Stays until the declaration is complete.
  ASSERT_TRUE(grants.Grant(7, 1, 2, true, Memory()).ok());
  grants.EndDeclaration(7);
  EXPECT_TRUE(grants.Map(2, 7, 1, true).ok());
  EXPECT_FALSE(grants.Map(2, 7, UINT32_MAX, true).ok());
  EXPECT_FALSE(grants.Bind(2, 7, 1).ok());
  grants.DropDomain(7);
  EXPECT_EQ(grants.size(), 1u);
  EXPECT_TRUE(grants.Map(2, 8, 1, true).ok());
}

}  // namespace
}  // namespace librettos::process
