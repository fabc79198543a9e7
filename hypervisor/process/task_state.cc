#include "hypervisor/process/task_state.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <array>
#include <memory>

namespace librettos::process {
namespace {

// PF_EXITING of the kernel's include/linux/sched.h: set first of all in do_exit, and never taken back. In
// field 9 of /proc/<pid>/stat (proc(5)).
constexpr unsigned long long kExiting = 0x4;
constexpr int kMaxThreads = 64;  // A domain has a few; with more, nothing is said.

struct Task {
  unsigned long long flags = 0, start_time = 0;
  int exit_code = 0;
};

bool ReadTask(const char* path, Task& task) {
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  std::array<char, 1024> text;
  const ssize_t bytes = read(file, text.data(), text.size() - 1);
  close(file);
  if (bytes <= 0) return false;
  text[static_cast<size_t>(bytes)] = 0;
  // Field 2, the name, may hold anything; the last parenthesis ends it.
  char* at = strrchr(text.data(), ')');
  if (at == nullptr) return false;
  char* rest = nullptr;
  int field = 3;
  for (char* word = strtok_r(at + 1, " \n", &rest); word != nullptr; word = strtok_r(nullptr, " \n", &rest)) {
    if (field == 9) task.flags = strtoull(word, nullptr, 10);
    if (field == 22) task.start_time = strtoull(word, nullptr, 10);
    if (field == 52) task.exit_code = atoi(word);
    ++field;
  }
  return field > 52;
}

// Whether each thread that is listed is exiting; `count` is how many are.
bool AllExiting(pid_t pid, int& count) {
  char path[64];
  snprintf(path, sizeof(path), "/proc/%d/task", pid);
  const std::unique_ptr<DIR, int (*)(DIR*)> threads(opendir(path), closedir);
  if (threads == nullptr) return false;
  count = 0;
  while (const dirent* entry = readdir(threads.get())) {
    const int thread = atoi(entry->d_name);
    if (thread <= 0) continue;
    if (++count > kMaxThreads) return false;
    snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, thread);
    Task task;
    // One that is gone between listing and reading has ended.
    if (!ReadTask(path, task)) {
      if (access(path, F_OK) == 0) return false;
    } else if ((task.flags & kExiting) == 0) {
      return false;
    }
  }
  return count > 0;
}

}  // namespace

std::optional<int> EndedWith(pid_t pid, uint64_t start_time) {
  int first = 0, second = 0;
  // Twice: a thread that was listed and exiting may have started another, after the listing came by, before
  // it exited. Once all exit there is nobody left to start one.
  if (!AllExiting(pid, first) || !AllExiting(pid, second)) return std::nullopt;
  char path[32];
  snprintf(path, sizeof(path), "/proc/%d/stat", pid);
  Task leader;
  if (!ReadTask(path, leader) || leader.start_time != start_time || leader.exit_code == 0)
    return std::nullopt;
  return leader.exit_code;
}

}  // namespace librettos::process
