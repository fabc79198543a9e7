// What hostile domains send on their control sockets: packets through the decoder, and what decodes into
// registry, watches and grants, as ProcessHypervisor does it.
//
// Checked: a domain writes only below its own directory and is told only what it may read; telling ends; when
// all domains are gone nothing of them is left.
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include <map>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "bazel/fuzz_input.h"
#include "hypervisor/process/grants.h"
#include "hypervisor/process/message.h"
#include "hypervisor/process/path.h"
#include "hypervisor/process/registry.h"
#include "hypervisor/process/watch_feed.h"

namespace librettos::process {
namespace {

constexpr int kMaxSteps = 256;
constexpr DomainId kDomains = 3;  // 1 to 3

constexpr absl::string_view kNames[] = {"/data/mode",
                                        "/data",
                                        "/device/vif/0/frontend/2/ring",
                                        "/device/vif/0/backend/2",
                                        "/control/mode",
                                        "/control",
                                        "",
                                        "/backend/vif/1/0/state",
                                        "/data-x",
                                        "/data/mode/x",
                                        "/backend/vif/3/0"};

// Descriptors of all the kinds that a domain could pass.
const std::vector<SharedDescriptor>& Descriptors() {
  static const auto& all = *[] {
    auto* made = new std::vector<SharedDescriptor>();
    const auto memory = [&](int size, int seals) {
      const int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
      FUZZ_CHECK(ftruncate(fd, size) == 0 && fcntl(fd, F_ADD_SEALS, seals) == 0);
      made->push_back(std::make_shared<Descriptor>(fd));
    };
    memory(4096, F_SEAL_SHRINK);
    made->push_back(std::make_shared<Descriptor>(eventfd(0, EFD_CLOEXEC)));
    memory(4096, 0);
    memory(0, F_SEAL_SHRINK | F_SEAL_WRITE);
    made->push_back(std::make_shared<Descriptor>(open("/dev/null", O_RDWR | O_CLOEXEC)));
    made->push_back(std::make_shared<Descriptor>(open("/proc/self", O_RDONLY | O_CLOEXEC)));
    return made;
  }();
  return all;
}

class Fuzz {
 public:
  explicit Fuzz(FuzzInput& input)
      : input_(input), registry_([this](const std::string& path) { OnChanged(path); }) {
    for (DomainId id = 1; id <= kDomains; ++id)
      feeds_.emplace(id, std::make_unique<WatchFeed>(registry_, id));
  }

  void Run() {
    for (int step = 0; step < kMaxSteps && !input_.empty(); ++step) {
      const uint8_t op = input_.U8();
      const DomainId id = 1 + op % kDomains;
      switch (op / 4 % 8) {
        case 0:
          Daemon(id);
          break;
        case 1:
          Declare(id);
          break;
        case 2:
          Tell(id);
          break;
        default:
          Packet(id);
      }
    }
    for (DomainId id = 1; id <= kDomains; ++id) Drop(id);
    FUZZ_CHECK(registry_.watches() == 0 && grants_.size() == 0);
    for (DomainId id = 1; id <= kDomains; ++id) {
      FUZZ_CHECK(registry_.List(Directory(id)).empty() && !registry_.Read(0, Directory(id)).ok());
    }
  }

 private:
  std::string Directory(DomainId id) { return absl::StrCat("/local/domain/", id); }
  std::string Path() {
    const uint8_t kind = input_.U8();
    if (kind >= 0xe0) return std::string(input_.Text(kind & 31));
    return absl::StrCat(Directory(1 + kind % kDomains), kNames[kind / kDomains % std::size(kNames)]);
  }

  void OnChanged(const std::string& path) {
    for (const DomainId id : registry_.Watchers(path)) {
      FUZZ_CHECK(id >= 1 && id <= kDomains && registry_.CanRead(id, path));
      (void)feeds_[id]->Changed(path);
    }
  }

  void Daemon(DomainId id) {
    const uint8_t what = input_.U8();
    const std::string path = Path();
    switch (what % 6) {
      case 0:
        (void)registry_.Write(0, path, std::string(input_.Text(input_.U8())));
        break;
      case 1:
        (void)registry_.Remove(0, path);
        break;
      case 2:
        registry_.AllowRead(path, id);
        break;
      case 3:
        registry_.Reserve(path);
        break;
      case 4:
        for (const std::string& name : registry_.List(path))
          FUZZ_CHECK(!name.empty() && name.find('/') == name.npos);
        break;
      default:
        Drop(id);
    }
  }

  void Declare(DomainId id) {
    if (input_.U8() % 2) {
      registry_.BeginDeclaration(id);
      grants_.BeginDeclaration(id);
    } else {
      registry_.EndDeclaration(id);
      grants_.EndDeclaration(id);
    }
  }

  // What the domain is to be told comes to an end.
  void Tell(DomainId id) {
    size_t left =
        registry_.size() * (1 + registry_.watches()) + registry_.watches() + kMaxPendingMessages + 1;
    while (std::optional<Message> message = feeds_[id]->Next()) {
      FUZZ_CHECK(left-- > 0);
      FUZZ_CHECK(ValidPath(message->path));
      if (message->a == 1) FUZZ_CHECK(registry_.CanRead(id, message->path));
    }
  }

  void Drop(DomainId id) {
    registry_.DropDomain(id);
    grants_.DropDomain(id);
    feeds_[id]->Clear();
  }

  void Packet(DomainId id) {
    const uint8_t kind = input_.U8();
    std::string packet;
    if (kind & 0x80) {
      packet = input_.Text(kind & 0x7f);
    } else {
      Message message{.type = static_cast<WireType>(static_cast<uint16_t>(WireType::kPublish) + kind % 14)};
      if (kind & 16) message.path = Path();
      if (kind & 32) message.value = input_.Text(input_.U8());
      message.number = input_.U8() % 8;
      message.a = input_.U8() % 5;
      message.b = input_.U8() % 3;
      packet = Encode(message);
    }
    std::vector<SharedDescriptor> descriptors;
    const uint8_t which = input_.U8();
    for (uint8_t i = 0; i < which % 4; ++i)
      descriptors.push_back(Descriptors()[(which / 4 + i) % Descriptors().size()]);
    absl::StatusOr<Message> message = DecodeFromDomain(packet, std::move(descriptors));
    if (message.ok()) Take(id, *message);
  }

  void Take(DomainId id, const Message& message) {
    FUZZ_CHECK(message.path.size() <= kMaxPathBytes && message.value.size() <= kMaxValueBytes);
    const bool own = Owns(id, message.path);
    switch (message.type) {
      case WireType::kPublish:
        if (!registry_.Write(id, message.path, message.value).ok()) break;
        FUZZ_CHECK(own && *registry_.Read(0, message.path) == message.value);
        break;
      case WireType::kRemove:
        if (registry_.Remove(id, message.path).ok()) FUZZ_CHECK(own);
        break;
      case WireType::kWatch:
        if (registry_.AddWatch(id, message.path).ok()) feeds_[id]->Watch(message.path);
        break;
      case WireType::kUnwatch:
        registry_.RemoveWatch(id, message.path);
        feeds_[id]->Unwatch(message.path);
        break;
      case WireType::kGrant:
        (void)grants_.Grant(id, message.number, message.a, message.b == 1, message.descriptors[0]);
        break;
      case WireType::kRevoke:
        grants_.Revoke(id, message.number);
        break;
      case WireType::kOffer:
        (void)grants_.Offer(id, message.number, message.a, {message.descriptors[0], message.descriptors[1]});
        break;
      case WireType::kClosePort:
        grants_.ClosePort(id, message.number);
        break;
      case WireType::kMap:
        if (auto memory = grants_.Map(id, message.a, message.number, message.b == 1); memory.ok()) {
          FUZZ_CHECK(memory->bytes > 0 && memory->bytes <= kMaxGrantBytes);
        }
        break;
      case WireType::kBind:
        (void)grants_.Bind(id, message.a, message.number);
        break;
      case WireType::kReturnDevice:
      case WireType::kHolding:
        FUZZ_CHECK(ValidNicName(message.path));
        break;
      default:
        FUZZ_CHECK(message.type == WireType::kDeclared);
    }
    FUZZ_CHECK(registry_.watches() <= kMaxWatches * kDomains &&
               grants_.size() <= (kMaxGrants + kMaxPorts) * kDomains);
  }

  bool Owns(DomainId id, const std::string& path) { return Covers(Directory(id), path); }

  FuzzInput& input_;
  std::map<DomainId, std::unique_ptr<WatchFeed>> feeds_;
  Grants grants_;
  Registry registry_;
};

}  // namespace
}  // namespace librettos::process

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  librettos::FuzzInput input(data, size);
  librettos::process::Fuzz(input).Run();
  return 0;
}
