#include "hypervisor/xen/pci_devices.h"

#include <deque>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace librettos::xen {
namespace {

constexpr char kAddress[] = "0000:03:00.0";
constexpr char kMac[] = "52:54:00:00:00:04";

// A host whose answers the test gives.
class FakeBackend final : public PciBackend {
 public:
  absl::StatusOr<PciSysfs> Inspect(const PciAddress&) override { return sysfs; }
  absl::Status MakeAssignable(const PciAddress& function) override {
    journal.push_back("assignable " + function.text());
    sysfs = {.driver = "pciback", .address = "", .mtu = 0, .up = ""};
    return absl::OkStatus();
  }
  absl::Status Release(const PciAddress& function) override {
    journal.push_back("release " + function.text());
    return absl::OkStatus();
  }
  void ReleaseAfter(DomainId domain, const PciAddress&) override {
    journal.push_back(absl::StrCat("release after ", domain));
  }
  void Attach(DomainId domain, const PciAddress&, Attached done) override {
    journal.push_back(absl::StrCat("attach ", domain));
    attaching.push_back(std::move(done));
  }
  void Detach(DomainId domain, const PciAddress&, std::function<void(absl::Status)> done) override {
    journal.push_back(absl::StrCat("detach ", domain));
    detaching.push_back(std::move(done));
  }
  void After(absl::Duration, std::function<void()> callback) override {
    timers.push_back(std::move(callback));
  }
  template <class Queue, class... Answer>
  void Answer1(Queue& queue, Answer... answer) {
    auto done = std::move(queue.front());
    queue.pop_front();
    done(answer...);
  }

  PciSysfs sysfs = {.driver = "e1000e", .address = kMac, .mtu = 1500, .up = ""};
  std::deque<Attached> attaching;
  std::deque<std::function<void(absl::Status)>> detaching;
  std::deque<std::function<void()>> timers;
  std::vector<std::string> journal;
};

class PciDevicesTest : public ::testing::Test, private PciObserver {
 protected:
  void Open() {
    auto info = devices_.Open("wire", {.pci_address = kAddress});
    ASSERT_TRUE(info.ok()) << info.status();
    backend_.journal.clear();
  }
  void FinishAttach(absl::StatusOr<int> slot = 4) { backend_.Answer1(backend_.attaching, slot); }
  void FinishDetach() { backend_.Answer1(backend_.detaching, absl::OkStatus()); }
  void GiveAndAttach(DomainId domain) {
    ASSERT_TRUE(devices_.Give("wire", domain, "").ok());
    FinishAttach();
    ASSERT_EQ(told_.back(), absl::StrCat("attached ", domain, " wire 4 ", kMac, " 1500"));
    told_.clear();
    backend_.journal.clear();
  }
  using Lines = std::vector<std::string>;

  FakeBackend backend_;
  PciDevices devices_{backend_, *this};
  Lines told_;

 private:
  void OnGiven(DomainId domain, const std::string& nic, const PciAddress&, const std::string&,
               uint32_t) override {
    told_.push_back(absl::StrCat("given ", domain, " ", nic));
  }
  void OnAttached(DomainId domain, const std::string& nic, int slot, const std::string& address,
                  uint32_t mtu) override {
    told_.push_back(absl::StrCat("attached ", domain, " ", nic, " ", slot, " ", address, " ", mtu));
  }
  void OnDetached(DomainId domain, const std::string& nic) override {
    told_.push_back(absl::StrCat("detached ", domain, " ", nic));
  }
  void OnTrouble(const std::string&, const std::string& what) override {
    told_.push_back(absl::StrCat("trouble ", what));
  }
};

TEST_F(PciDevicesTest, OpeningTakesTheFunctionFromDomain0AndKnowsItsAddress) {
  auto info = devices_.Open("wire", {.pci_address = kAddress});
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->address, kMac);
  EXPECT_EQ(info->mtu, 1500u);
  EXPECT_EQ(backend_.journal, (Lines{"assignable 0000:03:00.0"}));
}

TEST_F(PciDevicesTest, AnAssignableFunctionHasTheAddressThatIsOnRecord) {
  backend_.sysfs = {.driver = "pciback", .address = "", .mtu = 0, .up = ""};
  auto info = devices_.Open("wire", {.pci_address = kAddress, .known_address = kMac, .known_mtu = 9000});
  ASSERT_TRUE(info.ok());
  EXPECT_EQ(info->address, kMac);
  EXPECT_EQ(info->mtu, 9000u);
  EXPECT_TRUE(backend_.journal.empty());
}

TEST_F(PciDevicesTest, WithoutAnyRecordTheAddressIsOursAndStable) {
  backend_.sysfs = {.driver = "pciback", .address = "", .mtu = 0, .up = ""};
  auto info = devices_.Open("wire", {.pci_address = kAddress});
  ASSERT_TRUE(info.ok());
  EXPECT_EQ(info->address.substr(0, 3), "02:");
  EXPECT_EQ(info->address.size(), 17u);
  EXPECT_EQ(info->address, DerivedAddress("wire", *PciAddress::Parse(kAddress)));
  EXPECT_EQ(info->mtu, 1500u);
}

TEST_F(PciDevicesTest, WhatDomain0UsesIsNotTakenFromIt) {
  backend_.sysfs.up = "eth0";
  EXPECT_TRUE(absl::IsFailedPrecondition(devices_.Open("wire", {.pci_address = kAddress}).status()));
  EXPECT_TRUE(backend_.journal.empty());
}

TEST_F(PciDevicesTest, RefusesAFunctionTwiceAndAWrongAddress) {
  Open();
  EXPECT_TRUE(absl::IsAlreadyExists(devices_.Open("other", {.pci_address = kAddress}).status()));
  EXPECT_TRUE(absl::IsAlreadyExists(devices_.Open("wire", {.pci_address = "0000:04:00.0"}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(devices_.Open("x", {.pci_address = "4"}).status()));
}

TEST_F(PciDevicesTest, TheDomainIsToldOnceItIsAttached) {
  Open();
  ASSERT_TRUE(devices_.Give("wire", 5, "02:00:00:00:00:01").ok());
  EXPECT_EQ(told_, (Lines{"given 5 wire"}));
  EXPECT_TRUE(devices_.Give("wire", 5, "02:00:00:00:00:01").ok()) << "the same again";
  EXPECT_EQ(backend_.journal, (Lines{"attach 5"}));
  FinishAttach(3);
  EXPECT_EQ(told_.back(), "attached 5 wire 3 02:00:00:00:00:01 1500");
}

TEST_F(PciDevicesTest, AnotherLivingDomainHasToReturnItFirst) {
  Open();
  GiveAndAttach(5);
  EXPECT_TRUE(absl::IsFailedPrecondition(devices_.Give("wire", 6, "")));
  ASSERT_TRUE(devices_.Returned("wire", 5).ok());
  EXPECT_TRUE(told_.empty()) << "it is not free yet";
  EXPECT_TRUE(devices_.Give("wire", 6, "").ok());
  EXPECT_EQ(backend_.journal, (Lines{"detach 5"}));
  FinishDetach();
  EXPECT_EQ(told_, (Lines{"given 6 wire", "detached 5 wire"}));
  EXPECT_EQ(backend_.journal, (Lines{"detach 5", "attach 6"}));
}

TEST_F(PciDevicesTest, OnlyTheHolderCanReturnIt) {
  Open();
  GiveAndAttach(5);
  EXPECT_TRUE(absl::IsPermissionDenied(devices_.Returned("wire", 6)));
  EXPECT_TRUE(absl::IsPermissionDenied(devices_.Returned("nothing", 5)));
  ASSERT_TRUE(devices_.Returned("wire", 5).ok());
  ASSERT_TRUE(devices_.Returned("wire", 5).ok()) << "told twice";
  EXPECT_EQ(backend_.journal, (Lines{"detach 5"}));
}

TEST_F(PciDevicesTest, AfterADeathTheNextOneGetsItWhenTheDeadOneIsGone) {
  Open();
  GiveAndAttach(5);
  devices_.DomainDied(5);
  EXPECT_TRUE(devices_.Give("wire", 6, "").ok());
  EXPECT_TRUE(backend_.journal.empty());
  devices_.DomainGone(5);
  EXPECT_EQ(backend_.journal, (Lines{"attach 6"}));
  FinishAttach();
  EXPECT_EQ(told_.back(), absl::StrCat("attached 6 wire 4 ", kMac, " 1500"));
}

TEST_F(PciDevicesTest, ADomainThatDiesWhileItWaitsGetsNothing) {
  Open();
  GiveAndAttach(5);
  devices_.DomainDied(5);
  EXPECT_TRUE(devices_.Give("wire", 6, "").ok());
  devices_.DomainDied(6);
  devices_.DomainGone(5);
  EXPECT_TRUE(backend_.journal.empty());
  EXPECT_TRUE(devices_.Give("wire", 7, "").ok());
  EXPECT_EQ(backend_.journal, (Lines{"attach 7"}));
}

TEST_F(PciDevicesTest, ADomainThatDiesWhileItIsAttachedIsToldNothing) {
  Open();
  ASSERT_TRUE(devices_.Give("wire", 5, "").ok());
  told_.clear();
  devices_.DomainDied(5);
  FinishAttach();
  EXPECT_TRUE(told_.empty());
  devices_.DomainGone(5);
  EXPECT_TRUE(devices_.Give("wire", 6, "").ok());
  EXPECT_EQ(backend_.journal, (Lines{"attach 5", "attach 6"}));
}

TEST_F(PciDevicesTest, AFailedAttachmentIsToldUndoneAndRepeated) {
  Open();
  ASSERT_TRUE(devices_.Give("wire", 5, "").ok());
  FinishAttach(absl::UnavailableError("in use"));
  EXPECT_EQ(told_.back(), "trouble in use");
  EXPECT_EQ(backend_.journal, (Lines{"attach 5", "detach 5"})) << "nothing of it is left";
  ASSERT_TRUE(backend_.timers.empty());
  FinishDetach();
  ASSERT_EQ(backend_.timers.size(), 1u);
  backend_.Answer1(backend_.timers);
  EXPECT_EQ(backend_.journal, (Lines{"attach 5", "detach 5", "attach 5"}));
  FinishAttach();
  EXPECT_EQ(told_[told_.size() - 2], "trouble ");
  EXPECT_EQ(told_.back(), absl::StrCat("attached 5 wire 4 ", kMac, " 1500"));
}

TEST_F(PciDevicesTest, ItIsNotRepeatedForADeadDomain) {
  Open();
  ASSERT_TRUE(devices_.Give("wire", 5, "").ok());
  FinishAttach(absl::UnavailableError("in use"));
  FinishDetach();
  devices_.DomainDied(5);
  devices_.DomainGone(5);
  backend_.Answer1(backend_.timers);
  EXPECT_EQ(backend_.journal, (Lines{"attach 5", "detach 5"}));
}

TEST_F(PciDevicesTest, ADomainThatDiesWhileAFailedAttachmentIsUndoneGetsNothing) {
  Open();
  ASSERT_TRUE(devices_.Give("wire", 5, "").ok());
  FinishAttach(absl::UnavailableError("in use"));
  devices_.DomainDied(5);
  EXPECT_TRUE(devices_.Give("wire", 6, "").ok());
  FinishDetach();
  EXPECT_TRUE(backend_.timers.empty());
  EXPECT_EQ(backend_.journal, (Lines{"attach 5", "detach 5"})) << "it is not free yet";
  devices_.DomainGone(5);
  EXPECT_EQ(backend_.journal.back(), "attach 6");
}

TEST_F(PciDevicesTest, WhatIsRecalledBeforeItIsThereIsTakenBackAndNobodyIsToldOfIt) {
  Open();
  ASSERT_TRUE(devices_.Give("wire", 5, "").ok());
  told_.clear();
  devices_.Recall("wire", 5);
  EXPECT_TRUE(absl::IsFailedPrecondition(devices_.Give("wire", 6, ""))) << "it is under way";
  FinishAttach();
  EXPECT_TRUE(told_.empty());
  EXPECT_EQ(backend_.journal, (Lines{"attach 5", "detach 5"}));
  FinishDetach();
  EXPECT_EQ(told_, (Lines{"detached 5 wire"}));
  EXPECT_TRUE(devices_.Give("wire", 6, "").ok());
  EXPECT_EQ(backend_.journal.back(), "attach 6");
}

TEST_F(PciDevicesTest, WhatIsRecalledIsNotTriedAgain) {
  Open();
  ASSERT_TRUE(devices_.Give("wire", 5, "").ok());
  FinishAttach(absl::UnavailableError("in use"));
  FinishDetach();
  devices_.Recall("wire", 5);
  backend_.Answer1(backend_.timers);
  FinishDetach();
  EXPECT_EQ(backend_.journal, (Lines{"attach 5", "detach 5", "detach 5"}));
  EXPECT_EQ(told_.back(), "detached 5 wire");
}

TEST_F(PciDevicesTest, WhatIsRecalledWhileAnotherStillHasItIsFreeAfterThat) {
  Open();
  GiveAndAttach(5);
  ASSERT_TRUE(devices_.Returned("wire", 5).ok());
  ASSERT_TRUE(devices_.Give("wire", 6, "").ok());
  devices_.Recall("wire", 6);
  EXPECT_EQ(told_.back(), "detached 6 wire");
  FinishDetach();
  EXPECT_EQ(backend_.journal, (Lines{"detach 5"}));
}

TEST_F(PciDevicesTest, WhatIsRecalledAndGivenAgainGetsThere) {
  Open();
  ASSERT_TRUE(devices_.Give("wire", 5, "").ok());
  devices_.Recall("wire", 5);
  ASSERT_TRUE(devices_.Give("wire", 5, "").ok());
  FinishAttach();
  EXPECT_EQ(told_.back(), absl::StrCat("attached 5 wire 4 ", kMac, " 1500"));
}

TEST_F(PciDevicesTest, WhatADomainWasToldOfIsNotRecalled) {
  Open();
  GiveAndAttach(5);
  devices_.Recall("wire", 5);
  devices_.Recall("wire", 6);
  devices_.Recall("nothing", 5);
  EXPECT_TRUE(backend_.journal.empty());
  EXPECT_TRUE(told_.empty());
}

TEST_F(PciDevicesTest, WhatAFormerDaemonsDeadDomainHasIsNotFreeYet) {
  const PciAddress function = *PciAddress::Parse(kAddress);
  devices_.Adopt("wire", 5, function, kMac, 1500, true);
  devices_.DomainDied(5);
  Open();
  EXPECT_TRUE(devices_.Give("wire", 6, "").ok());
  EXPECT_TRUE(backend_.journal.empty());
  devices_.DomainGone(5);
  EXPECT_EQ(backend_.journal, (Lines{"attach 6"}));
}

TEST_F(PciDevicesTest, WhatAFormerDaemonGaveIsKnown) {
  const PciAddress function = *PciAddress::Parse(kAddress);
  devices_.Adopt("wire", 5, function, kMac, 1500, true);
  EXPECT_TRUE(devices_.Open("wire", {.pci_address = kAddress}).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(devices_.Give("wire", 6, "")));
  EXPECT_TRUE(devices_.Returned("wire", 5).ok());
}

TEST_F(PciDevicesTest, WhatAFormerDaemonDidNotFinishIsDoneAgain) {
  const PciAddress function = *PciAddress::Parse(kAddress);
  devices_.Adopt("wire", 5, function, kMac, 1500, false);
  EXPECT_EQ(backend_.journal, (Lines{"attach 5"}));
  FinishAttach();
  EXPECT_EQ(told_.back(), absl::StrCat("attached 5 wire 4 ", kMac, " 1500"));
}

TEST_F(PciDevicesTest, ClosingGivesItBackToDomain0) {
  Open();
  EXPECT_TRUE(devices_.Close("wire").ok());
  EXPECT_EQ(backend_.journal, (Lines{"release 0000:03:00.0"}));
  EXPECT_TRUE(absl::IsNotFound(devices_.Close("wire")));
}

TEST_F(PciDevicesTest, ClosingWhileADeadDomainHasItWaitsForItsEnd) {
  Open();
  GiveAndAttach(5);
  devices_.DomainDied(5);
  EXPECT_TRUE(devices_.Close("wire").ok());
  EXPECT_EQ(backend_.journal, (Lines{"release after 5"}));
  devices_.DomainGone(5);
}

}  // namespace
}  // namespace librettos::xen
