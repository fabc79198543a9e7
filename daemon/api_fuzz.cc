// The API's methods as any client can call them, on a daemon with a fake hypervisor whose domains speak and
// die as the input says.
//
// An input is text, a call or an event a line:
//   CreateGuest guest { name: "guests/g" spec { server: "servers/s" addresses: "10.1.0.5/24" } }
//   !publish servers/s#1 data/ready 2
// Checked after each line: a call that failed has changed nothing, and the model is consistent in itself and
// with the domains that there are.
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>

#include <filesystem>
#include <map>
#include <set>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "bazel/fuzz_input.h"
#include "daemon/api.h"
#include "daemon/controller.h"
#include "daemon/testing/fake_hypervisor.h"
#include "daemon/testing/fake_scheduler.h"
#include "daemon/testing/state_directory.h"

namespace librettos::daemon {
namespace {

constexpr size_t kMaxLines = 48;
constexpr int kMaxAdvanceMs = 20'000;
constexpr size_t kMaxDomains = 64;  // Of which a hostile script could make the daemon start ever more.

class Silent final : public google::protobuf::io::ErrorCollector {
  void AddError(int, int, const std::string&) override {}
};

class Fuzz {
 public:
  explicit Fuzz(const std::string& directory) : directory_(directory) {
    std::filesystem::remove(Store(directory).path());
    Start();
  }

  void Run(absl::string_view script) {
    size_t lines = 0;
    for (absl::string_view line : absl::StrSplit(script, '\n')) {
      if (++lines > kMaxLines) return;
      Line(line);
      if (hv_.domains.size() > kMaxDomains) return;
      Check();
    }
  }

 private:
  void Start() {
    scheduler_ = std::make_unique<FakeScheduler>();
    hub_ = std::make_unique<WatchHub>();
    store_ = std::make_unique<Store>(directory_);
    controller_ = std::make_unique<Controller>(*scheduler_, hv_, *store_, *hub_);
    const absl::Status recovered = controller_->Recover();
    FUZZ_CHECK(recovered.ok());
    api_ = std::make_unique<Api>(*controller_);
  }

  void Line(absl::string_view line) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(line, absl::MaxSplits(' ', 1));
    if (!parts.first.empty() && parts.first[0] == '!') return Event(parts.first.substr(1), parts.second);
#define CALL(method) \
  if (parts.first == #method) return Call(&Api::method, parts.second);
    CALL(CreateNetworkServer)
    CALL(GetNetworkServer)
    CALL(ListNetworkServers)
    CALL(DeleteNetworkServer)
    CALL(UpgradeNetworkServer)
    CALL(FailNetworkServer)
    CALL(CreateGuest)
    CALL(GetGuest)
    CALL(ListGuests)
    CALL(DeleteGuest)
    CALL(SetGuestMode)
    CALL(CreateNic)
    CALL(GetNic)
    CALL(ListNics)
    CALL(DeleteNic)
    CALL(GetOperation)
    CALL(ListOperations)
    CALL(GetChannel)
    CALL(ListChannels)
    CALL(GetStatistics)
#undef CALL
  }

  template <class Request, class Response>
  void Call(absl::Status (Api::*method)(const Request&, Response*), absl::string_view text) {
    Silent silent;
    google::protobuf::TextFormat::Parser parser;
    parser.RecordErrorsTo(&silent);
    parser.SetRecursionLimit(32);
    Request request;
    if (!parser.ParseFromString(std::string(text), &request)) return;
    // Over the wire no other comes.
    Request sent;
    if (!sent.ParseFromString(request.SerializeAsString())) return;
    const std::string before = Image();
    const size_t told = hv_.journal.size();
    Response response;
    const absl::Status status = ((*api_).*method)(sent, &response);
    if (status.ok()) return;
    FUZZ_CHECK(status.code() != absl::StatusCode::kUnknown && !status.message().empty());
    FUZZ_CHECK(Image() == before && hv_.journal.size() == told);
  }

  // Everything that is persisted but the numbers that are reserved.
  std::string Image() {
    std::string image;
    for (const auto& [name, record] : controller_->model.servers)
      absl::StrAppend(&image, record.SerializeAsString());
    for (const auto& [name, record] : controller_->model.guests)
      absl::StrAppend(&image, record.SerializeAsString());
    for (const auto& [name, record] : controller_->model.nics)
      absl::StrAppend(&image, record.SerializeAsString());
    for (const auto& [number, operation] : controller_->model.operations) {
      absl::StrAppend(&image, operation.SerializeAsString());
    }
    for (const RequestRecord& request : controller_->model.requests) {
      absl::StrAppend(&image, request.SerializeAsString());
    }
    return image;
  }

  void Event(absl::string_view what, absl::string_view text) {
    std::vector<std::string> words = absl::StrSplit(text, absl::MaxSplits(' ', 2));
    if (words.empty()) words.emplace_back();
    const uint32_t domain = words[0].empty() ? 0 : hv_.Named(words[0]);
    int number = 0;
    if (what == "advance" && absl::SimpleAtoi(words[0], &number)) {
      scheduler_->Advance(absl::Milliseconds(std::clamp(number, 0, kMaxAdvanceMs)));
    } else if (what == "restart") {
      api_.reset();
      controller_.reset();
      hv_.BeginRestart();
      read_ = 0;
      Start();
    } else if (what == "dieall") {
      hv_.DieAll();
    } else if (what == "break") {
      hv_.broken_interfaces.insert(words[0]);
    } else if (what == "mend") {
      hv_.broken_interfaces.clear();
    } else if (what == "full") {
      hv_.fail_create = !hv_.fail_create;
    } else if (domain == 0) {
      return;
    } else if (what == "connect") {
      hv_.Connect(domain);
    } else if (what == "die") {
      hv_.Die(domain, "killed by signal 9", words.size() > 1);
    } else if (what == "hang") {
      hv_.domains.at(domain).beats = false;
    } else if (what == "return" && words.size() > 1) {
      hv_.ReturnDevice(domain, words[1]);
    } else if (what == "publish" && words.size() > 2) {
      hv_.Publish(domain, words[1], words[2]);
    } else if (what == "page") {
      // A page of counters as a domain could publish it.
      std::vector<uint64_t> page;
      for (const std::string& word : words) {
        for (absl::string_view item : absl::StrSplit(word, ',')) {
          uint64_t value = 0;
          (void)absl::SimpleAtoi(item, &value);
          page.push_back(value);
        }
      }
      page.resize(64 * 3);
      hv_.domains.at(domain).page = page;
    }
  }

  void Check() {
    Model& model = controller_->model;
    for (const auto& [domain, owner] : model.owner_of_domain) {
      FUZZ_CHECK(hv_.domains.contains(domain) && api_->Exists(owner));
    }
    for (const auto& [id, domain] : hv_.domains)
      FUZZ_CHECK(domain.dying || model.owner_of_domain.contains(id));
    std::set<std::string> nics, addresses, macs;
    for (auto& [name, record] : model.servers) {
      std::set<uint32_t> ids;
      for (const DomainRecord* domain :
           {&record.active(), &record.standby(), &record.successor(), &record.previous()}) {
        FUZZ_CHECK(domain->id() == 0 || ids.insert(domain->id()).second);
      }
      FUZZ_CHECK(nics.insert(record.resource().spec().nic()).second &&
                 model.FindNic(record.resource().spec().nic()));
    }
    for (auto& [name, record] : model.guests) {
      FUZZ_CHECK(model.FindServer(record.resource().spec().server()));
      FUZZ_CHECK(record.nic().empty() || (nics.insert(record.nic()).second && model.FindNic(record.nic())));
      FUZZ_CHECK(record.mac().empty() || macs.insert(record.mac()).second);
      for (const std::string& address : record.resource().spec().addresses()) {
        FUZZ_CHECK(addresses.insert(address.substr(0, address.find('/'))).second);
      }
    }
    for (const std::string& name : api_->NamesIn({})) (void)api_->Describe(name);
    CheckEpochs();
  }

  // No epoch is ever given to two domains, whatever a restart may have lost.
  void CheckEpochs() {
    for (; read_ < hv_.journal.size(); ++read_) {
      // "write /local/domain/2/control/role active 5"
      const std::vector<std::string> words = absl::StrSplit(hv_.journal[read_], ' ');
      if (words.size() != 4 || words[0] != "write" || words[2] != "active") continue;
      FUZZ_CHECK(domain_of_epoch_.emplace(words[3], words[1]).first->second == words[1]);
    }
  }

  const std::string directory_;
  hypervisor::FakeHypervisor hv_;
  std::unique_ptr<FakeScheduler> scheduler_;
  std::unique_ptr<WatchHub> hub_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Controller> controller_;
  std::unique_ptr<Api> api_;
  size_t read_ = 0;  // Of the journal.
  std::map<std::string, std::string> domain_of_epoch_;
};

}  // namespace
}  // namespace librettos::daemon

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace librettos::daemon;
  static StateDirectory directory;
  Fuzz(directory.path()).Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
