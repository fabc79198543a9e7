#include "drivers/net/testing/qemu_machine.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "drivers/net/pci_capability.h"

namespace librettos::fake {
namespace {

constexpr size_t kRamBytes = 64 << 20;
constexpr uint64_t kMailboxes = 1 << 20;  // One word per vector.
constexpr uint64_t kDmaStart = 16 << 20;  // Above all that the machine has for itself.
constexpr unsigned kSlot = 4;
constexpr int kStartTime = 20'000;  // Milliseconds.
constexpr int kQuietTime = 100;
constexpr size_t kBiosBytes = 65536;

std::string Hex(uint64_t value) {
  char text[32];
  snprintf(text, sizeof(text), "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

int Listen(const std::string& path) {
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(listener, 1) != 0) {
    close(listener);
    return -1;
  }
  return listener;
}

// The one connection to `listener`, which is closed; -1: `process` ended, or takes too long.
int Accept(int listener, pid_t process) {
  pollfd ready{listener, POLLIN, 0};
  int socket = -1;
  for (int waited = 0; socket < 0 && waited < kStartTime; waited += kQuietTime) {
    siginfo_t ended{};
    waitid(P_PID, static_cast<id_t>(process), &ended, WEXITED | WNOHANG | WNOWAIT);
    if (ended.si_pid == process) break;
    if (poll(&ready, 1, kQuietTime) == 1) socket = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  }
  close(listener);
  return socket;
}

bool WriteFile(const std::string& path, const std::string& content, size_t bytes) {
  FILE* file = fopen(path.c_str(), "w");
  if (!file) return false;
  fwrite(content.data(), 1, content.size(), file);
  const bool done = ftruncate(fileno(file), static_cast<off_t>(bytes)) == 0;
  return fclose(file) == 0 && done;
}

}  // namespace

class QemuMachine::Block final : public DmaMemory {
 public:
  Block(QemuMachine& machine, uint64_t at, size_t bytes) : machine_(machine), at_(at), bytes_(bytes) {
    memset(machine_.ram_ + at_, 0, bytes_);
  }
  std::span<std::byte> bytes() override { return {machine_.ram_ + at_, bytes_}; }
  uint64_t bus_address() const override { return at_; }
  void Release() override { machine_.blocks_.erase(at_); }

 private:
  QemuMachine& machine_;
  uint64_t at_;
  size_t bytes_;
};

std::unique_ptr<QemuMachine> QemuMachine::Start(const std::string& device, int tap, bool msi_x) {
  std::unique_ptr<QemuMachine> machine(new QemuMachine());
  machine->msi_x_ = msi_x;
  if (!machine->StartProcess(device, tap)) return nullptr;
  return machine;
}

bool QemuMachine::StartProcess(const std::string& device, int tap) {
  std::string directory = "/tmp/librettos-qemu-XXXXXX";  // Short, as a socket's path must be.
  if (!mkdtemp(directory.data())) return false;
  directory_ = directory;
  if (!WriteFile(directory_ + "/bios", std::string(kBiosBytes, '\xf4'), kBiosBytes)) return false;  // hlt
  if (!WriteFile(directory_ + "/ram", "", kRamBytes)) return false;
  const int ram = open((directory_ + "/ram").c_str(), O_RDWR | O_CLOEXEC);
  void* mapped = mmap(nullptr, kRamBytes, PROT_READ | PROT_WRITE, MAP_SHARED, ram, 0);
  close(ram);
  if (mapped == MAP_FAILED) return false;
  ram_ = static_cast<std::byte*>(mapped);
  const int protocol = Listen(directory_ + "/qtest"), monitor = Listen(directory_ + "/qmp");
  if (protocol < 0 || monitor < 0) return false;
  std::vector<std::string> arguments = {
      "qemu-system-x86_64",
      "-accel",
      "tcg",
      "-nodefaults",
      "-no-user-config",
      "-display",
      "none",
      "-bios",
      directory_ + "/bios",
      "-m",
      "64M",
      "-machine",
      "pc,memory-backend=ram",
      "-object",
      "memory-backend-file,id=ram,size=64M,share=on,mem-path=" + directory_ + "/ram",
      "-netdev",
      "tap,id=wire,fd=" + std::to_string(tap),
      "-device",
      device + ",id=nic,netdev=wire,addr=" + std::to_string(kSlot),
      "-qtest",
      "unix:" + directory_ + "/qtest",
      "-qtest-log",
      "none",
      "-qmp",
      "unix:" + directory_ + "/qmp"};
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  process_ = fork();
  if (process_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // It does not outlive a test that crashed.
    execvp(pointers[0], pointers.data());
    _exit(127);
  }
  if (process_ < 0) return false;
  monitor_ = Accept(monitor, process_);
  protocol_ = Accept(protocol, process_);
  if (protocol_ < 0 || monitor_ < 0) return false;
  Monitor("qmp_capabilities");
  return ReadConfig(0, 2) != 0xffff;
}

QemuMachine::~QemuMachine() {
  if (process_ > 0) {
    kill(process_, SIGKILL);
    waitpid(process_, nullptr, 0);
  }
  if (protocol_ >= 0) close(protocol_);
  if (monitor_ >= 0) close(monitor_);
  if (ram_) munmap(ram_, kRamBytes);
  for (const char* name : {"bios", "ram", "qtest", "qmp"}) unlink((directory_ + "/" + name).c_str());
  if (!directory_.empty()) rmdir(directory_.c_str());
}

// ---- The protocols

std::string QemuMachine::Line(int socket, std::string& rest) {
  for (;;) {
    if (const size_t end = rest.find('\n'); end != std::string::npos) {
      std::string line = rest.substr(0, end);
      rest.erase(0, end + 1);
      return line;
    }
    char buffer[4096];
    const ssize_t got = read(socket, buffer, sizeof(buffer));
    if (got <= 0) {
      fprintf(stderr, "qemu is gone\n");
      abort();  // Of no use to go on; and the test says where it was.
    }
    rest.append(buffer, static_cast<size_t>(got));
  }
}

std::string QemuMachine::Command(const std::string& command) {
  const std::string line = command + "\n";
  if (write(protocol_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) return "";
  for (;;) {
    std::string answer = Line(protocol_, protocol_rest_);
    if (answer.starts_with("OK")) return answer.size() > 3 ? answer.substr(3) : "";
    if (answer.starts_with("FAIL")) {
      fprintf(stderr, "%s: %s\n", command.c_str(), answer.c_str());
      abort();
    }
  }
}

void QemuMachine::Monitor(const std::string& command, const std::string& arguments) {
  const std::string line = "{\"execute\": \"" + command + "\"" + arguments + "}\n";
  if (write(monitor_, line.data(), line.size()) < 0) abort();
  for (;;) {
    const std::string answer = Line(monitor_, monitor_rest_);
    if (answer.find("\"return\"") != std::string::npos) return;
    if (answer.find("\"error\"") != std::string::npos) {
      fprintf(stderr, "%s: %s\n", command.c_str(), answer.c_str());
      abort();
    }
  }
}

void QemuMachine::SetLink(bool up) {
  Monitor("set_link",
          std::string(", \"arguments\": {\"name\": \"nic\", \"up\": ") + (up ? "true}" : "false}"));
  if (up) usleep(800'000);  // Its PHY negotiates for 500 ms.
}

void QemuMachine::Sync() {
  for (int i = 0; i < 8; ++i) Command("inb 0x80");
}

// ---- Configuration space and registers

uint32_t QemuMachine::ReadConfig(uint32_t offset, unsigned width) {
  Command("outl 0xcf8 " + Hex(0x80000000u | kSlot << 11 | (offset & 0xfc)));
  const std::string port = Hex(0xcfc + (offset & 3));
  const char letter = width == 1 ? 'b' : width == 2 ? 'w' : 'l';
  return static_cast<uint32_t>(
      strtoull(Command(std::string("in") + letter + " " + port).c_str(), nullptr, 0));
}

void QemuMachine::WriteConfig(uint32_t offset, unsigned width, uint32_t value) {
  Command("outl 0xcf8 " + Hex(0x80000000u | kSlot << 11 | (offset & 0xfc)));
  const char letter = width == 1 ? 'b' : width == 2 ? 'w' : 'l';
  Command(std::string("out") + letter + " " + Hex(0xcfc + (offset & 3)) + " " + Hex(value));
}

Result<uint64_t> QemuMachine::OpenBar(unsigned bar) {
  const uint32_t at = 0x10 + 4 * bar;
  const uint32_t old = ReadConfig(at, 4);
  if (bars_[bar].bytes) return bars_[bar].bytes;
  WriteConfig(at, 4, 0xffffffff);
  const uint32_t mask = ReadConfig(at, 4);
  if (mask == 0 || (old & 1)) return Error::kNotFound;
  const uint64_t bytes = ~(mask & ~15u) + uint64_t{1};
  next_bar_ = (next_bar_ + bytes - 1) / bytes * bytes;
  WriteConfig(at, 4, static_cast<uint32_t>(next_bar_));
  if ((mask & 6) == 4) WriteConfig(at + 4, 4, 0);
  WriteConfig(4, 2, ReadConfig(4, 2) | 2);  // Memory space.
  bars_[bar] = {next_bar_, bytes & 0xffffffff};
  next_bar_ += bytes;
  return bars_[bar].bytes;
}

bool QemuMachine::Inside(unsigned bar, uint64_t offset, char width) {
  const uint64_t bytes = width == 'b' ? 1 : width == 'w' ? 2 : 4;
  return bar < bars_.size() && offset % bytes == 0 && offset + bytes <= bars_[bar].bytes;
}

uint32_t QemuMachine::Read(unsigned bar, uint64_t offset, char width) {
  if (!Inside(bar, offset, width)) return 0xffffffff;
  const std::string answer = Command(std::string("read") + width + " " + Hex(bars_[bar].address + offset));
  return static_cast<uint32_t>(strtoull(answer.c_str(), nullptr, 0));
}

void QemuMachine::Write(unsigned bar, uint64_t offset, char width, uint32_t value) {
  if (Inside(bar, offset, width))
    Command(std::string("write") + width + " " + Hex(bars_[bar].address + offset) + " " + Hex(value));
}

void QemuMachine::SetBusMaster(bool on) {
  const uint32_t command = ReadConfig(4, 2);
  WriteConfig(4, 2, on ? command | 4 : command & ~4u);
}

Result<DmaMemory*> QemuMachine::AllocateDma(size_t bytes) {
  bytes = (bytes + kPageSize - 1) / kPageSize * kPageSize;
  uint64_t at = kDmaStart;
  for (const auto& [start, block] : blocks_) {
    if (start - at >= bytes) break;
    at = start + block->bytes().size();
  }
  if (at + bytes > kRamBytes) return Error::kExhausted;
  auto block = std::make_unique<Block>(*this, at, bytes);
  DmaMemory* memory = block.get();
  blocks_[at] = std::move(block);
  return memory;
}

// ---- Interrupts

Result<unsigned> QemuMachine::EnableInterrupts(unsigned wanted) {
  const uint8_t at = pci::NextCapability(*this, msi_x_ ? pci::kMsiX : 0x05);
  if (at == 0) return Error::kUnsupported;
  const uint32_t control = ReadConfig(at + 2, 2);
  const unsigned count = msi_x_ ? std::min(wanted, (control & 0x7ff) + 1) : 1;
  memset(ram_ + kMailboxes, 0, kPageSize);
  if (msi_x_) {
    const uint32_t table = ReadConfig(at + 4, 4);
    Result<uint64_t> opened = OpenBar(table & 7);
    if (!opened.ok()) return opened.error();
    for (unsigned i = 0; i < count; ++i) {
      const uint64_t entry = (table & ~7u) + 16 * i;
      Write32(table & 7, entry, static_cast<uint32_t>(kMailboxes + 4 * i));
      Write32(table & 7, entry + 4, 0);
      Write32(table & 7, entry + 8, 1);
      Write32(table & 7, entry + 12, 0);
    }
    WriteConfig(at + 2, 2, control | 0x8000);
  } else {
    const bool wide = control & 0x80;
    WriteConfig(at + 4, 4, static_cast<uint32_t>(kMailboxes));
    if (wide) WriteConfig(at + 8, 4, 0);
    WriteConfig(at + (wide ? 12 : 8), 2, 1);
    WriteConfig(at + 2, 2, control | 1);
  }
  enabled_at_ = at;
  vectors_.resize(count);
  return count;
}

void QemuMachine::SetInterruptHandler(unsigned vector, Handler* handler) {
  if (vector < vectors_.size()) vectors_[vector].handler = handler;
}

void QemuMachine::Raise(unsigned vector) {
  if (vector < vectors_.size()) vectors_[vector].due = true;
}

void QemuMachine::DisableInterrupts() {
  if (!enabled_at_) return;
  WriteConfig(enabled_at_ + 2, 2, ReadConfig(enabled_at_ + 2, 2) & (msi_x_ ? 0x7fffu : 0xfffeu));
  enabled_at_ = 0;
  vectors_.clear();
}

void QemuMachine::Collect() {
  for (size_t i = 0; i < vectors_.size(); ++i) {
    std::atomic_ref<uint32_t> mailbox(*reinterpret_cast<uint32_t*>(ram_ + kMailboxes + 4 * i));
    const bool fired = mailbox.exchange(0) != 0;
    fired_ += fired;
    vectors_[i].due |= fired;
  }
}

bool QemuMachine::Deliver() {
  Collect();
  std::vector<Handler*> due;  // One round: what is raised meanwhile waits for the next.
  for (Vector& vector : vectors_) {
    if (vector.due && vector.handler) due.push_back(vector.handler);
    vector.due = false;
  }
  for (Handler* handler : due) handler->OnEvent();
  return !due.empty();
}

bool QemuMachine::Poll() {
  for (int i = 0; i < kQuietTime; ++i) {
    if (Deliver()) return true;
    usleep(1000);
  }
  return false;
}

}  // namespace librettos::fake
