// Regions granted by one domain and mapped by another, with the daemon in between.
#include "guest/platform/process/mapping.h"

#include <gtest/gtest.h>
#include <string.h>
#include <sys/mman.h>

#include "guest/platform/process/test_daemon.h"
#include "guest/platform/process/test_observers.h"

namespace librettos::process {
namespace {

class MappingTest : public ::testing::Test {
 protected:
  // Asks for a mapping and answers with this descriptor.
  Result<Mapping*> Answer(int descriptor, size_t bytes, bool writable, Error error = Error::kOk) {
    mapped_.results.clear();
    domain_.platform().Map(9, 1, bytes, writable, &mapped_);
    const auto requests = Only(domain_.Messages(), WireType::kMap);
    EXPECT_EQ(requests.size(), 1u);
    EXPECT_EQ(requests[0].header.a, 9u);
    EXPECT_EQ(requests[0].header.number, 1u);
    domain_.daemon->Send({.type = WireType::kMapReply,
                          .id = requests[0].header.id,
                          .a = static_cast<uint32_t>(error),
                          .b = bytes,
                          .descriptors = {descriptor, -1}});
    domain_.Turn();
    EXPECT_EQ(mapped_.results.size(), 1u);
    return mapped_.results.empty() ? Result<Mapping*>(Error::kTimeout) : mapped_.results[0];
  }

  Descriptor Memory(size_t bytes, int seals) {
    Descriptor memory(memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    EXPECT_EQ(ftruncate(memory.get(), static_cast<off_t>(bytes)), 0);
    EXPECT_EQ(fcntl(memory.get(), F_ADD_SEALS, seals), 0);
    return memory;
  }

  Domain domain_{7};
  Mapped mapped_;
};

TEST_F(MappingTest, TwoDomainsShareARegion) {
  Domain owner(9);
  Region* region = *owner.platform().Allocate(5000);
  EXPECT_EQ(region->bytes().size(), 8192u);
  ASSERT_TRUE(region->GrantTo(7, true).ok());
  auto grants = Only(owner.Messages(), WireType::kGrant);
  ASSERT_EQ(grants.size(), 1u);
  Result<Mapping*> mapping = Answer(grants[0].descriptors[0].get(), 8192, true);
  ASSERT_TRUE(mapping.ok());
  ASSERT_EQ((*mapping)->bytes().size(), 8192u);
  region->bytes()[8191] = std::byte{42};
  EXPECT_EQ((*mapping)->bytes()[8191], std::byte{42});
  (*mapping)->bytes()[0] = std::byte{17};
  EXPECT_EQ(region->bytes()[0], std::byte{17});
  // The owner cannot cut it off.
  EXPECT_NE(ftruncate(grants[0].descriptors[0].get(), 0), 0);
  region->Release();
  EXPECT_EQ((*mapping)->bytes()[8191], std::byte{42});
  (*mapping)->Unmap();
}

TEST_F(MappingTest, ReadOnlyGrantCannotBeMappedForWriting) {
  Domain owner(9);
  Region* region = *owner.platform().Allocate(4096);
  ASSERT_TRUE(region->GrantTo(7, false).ok());
  auto grants = Only(owner.Messages(), WireType::kGrant);
  const int memory = grants.at(0).descriptors[0].get();
  EXPECT_EQ(Answer(memory, 4096, true).error(), Error::kPermission);
  Result<Mapping*> mapping = Answer(memory, 4096, false);
  ASSERT_TRUE(mapping.ok());
  region->bytes()[1] = std::byte{5};  // The owner still writes.
  EXPECT_EQ((*mapping)->bytes()[1], std::byte{5});
  EXPECT_EQ(region->GrantTo(8, true).error(), Error::kUnsupported);
}

TEST_F(MappingTest, UnsealedOrSmallMemoryIsRefused) {
  EXPECT_EQ(Answer(Memory(8192, 0).get(), 4096, true).error(), Error::kProtocol);
  EXPECT_EQ(Answer(Memory(8192, F_SEAL_GROW).get(), 4096, true).error(), Error::kProtocol);
  EXPECT_EQ(Answer(Memory(4096, F_SEAL_SHRINK).get(), 4097, true).error(), Error::kProtocol);
  EXPECT_EQ(Answer(-1, 4096, true).error(), Error::kProtocol);
  Descriptor zero(open("/dev/zero", O_RDWR));
  EXPECT_EQ(Answer(zero.get(), 4096, true).error(), Error::kProtocol);
  EXPECT_TRUE(Answer(Memory(4097, F_SEAL_SHRINK).get(), 4097, true).ok());
}

TEST_F(MappingTest, RefusalsArePassedOn) {
  EXPECT_EQ(Answer(-1, 4096, true, Error::kNotFound).error(), Error::kNotFound);
  EXPECT_EQ(Answer(-1, 4096, true, static_cast<Error>(200)).error(), Error::kProtocol);
}

TEST_F(MappingTest, CancelledAndUnknownRepliesAreIgnored) {
  domain_.platform().Map(9, 1, 4096, true, &mapped_);
  const auto requests = Only(domain_.Messages(), WireType::kMap);
  domain_.platform().Cancel(&mapped_);
  const Descriptor memory = Memory(4096, F_SEAL_SHRINK);
  for (const uint32_t id : {requests.at(0).header.id, 999u}) {
    domain_.daemon->Send(
        {.type = WireType::kMapReply, .id = id, .b = 4096, .descriptors = {memory.get(), -1}});
  }
  domain_.Turn();
  EXPECT_TRUE(mapped_.results.empty());
  EXPECT_FALSE(domain_.daemon->Closed());
}

TEST_F(MappingTest, AllocationIsChecked) {
  EXPECT_EQ(domain_.platform().Allocate(0).error(), Error::kInvalidArgument);
  EXPECT_EQ(domain_.platform().Allocate(SIZE_MAX).error(), Error::kInvalidArgument);
}

}  // namespace
}  // namespace librettos::process
