#include "hypervisor/xen/domain_exit.h"

#include "gtest/gtest.h"

namespace librettos::xen {
namespace {

TEST(DomainExitTest, OnlyStatusZeroIsOrderly) {
  EXPECT_TRUE(ExitOf(0, "0", "", "").orderly);
  EXPECT_EQ(ExitOf(0, "0", "", "").description, "exit status 0");
  EXPECT_FALSE(ExitOf(0, "3", "", "").orderly);
  EXPECT_EQ(ExitOf(0, "3", "", "").description, "exit status 3");
  EXPECT_FALSE(ExitOf(0, "", "", "").orderly);
  EXPECT_FALSE(ExitOf(0, "0 or so", "", "").orderly);
}

TEST(DomainExitTest, CrashTellsThePanicInPrintableForm) {
  EXPECT_EQ(ExitOf(3, "0", "", "").description, "crashed");
  EXPECT_FALSE(ExitOf(3, "0", "", "").orderly);
  EXPECT_EQ(ExitOf(3, "", "page fault\n\x1b[2J", "").description, "crashed: page fault??[2J");
  EXPECT_LT(ExitOf(3, "", std::string(4000, 'x'), "").description.size(), 256u);
}

TEST(DomainExitTest, OtherReasonsAreNoOrderlyEnd) {
  for (unsigned reason : {1u, 2u, 4u, 5u, 77u}) {
    EXPECT_FALSE(ExitOf(reason, "0", "", "").orderly) << reason;
    EXPECT_NE(ExitOf(reason, "0", "", "").description, "") << reason;
  }
}

TEST(DomainExitTest, TripleFaultTellsTheRegisters) {
  EXPECT_EQ(ExitOf(1, "", "", "rip 10 rsp 20").description,
            "asked to be restarted, or triple fault: rip 10 rsp 20");
}

}  // namespace
}  // namespace librettos::xen
