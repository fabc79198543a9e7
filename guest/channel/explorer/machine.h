// Explores every interleaving of two sides that share a ring: the code of ring.cc as it is, compiled so that
// each access to a shared word is a step of its own.
//
// Memory is weaker than that of any CPU we run on: what a side stores waits in a buffer, and gets to memory
// in any order that stores to one word, releasing stores and full fences allow. Loads happen in the order
// of the program (what the code relies on are fences, and these order loads, too). The bytes of frames and
// descriptors are not buffered.
//
// A side is a program that is run in iterations. Between two iterations all it knows is in its object, which
// is copied as bytes; within one, a state is reached again by running the iteration anew and giving it what
// it has loaded before. So states are values, and each is explored once.
//
// The server can be killed at every step, and a successor takes up: docs/protocols.md, Failover. Single-
// threaded; one machine at a time.
#pragma once

#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_set>
#include <vector>

#include "guest/channel/ring.h"

namespace librettos::channel::explorer {

enum Side : uint8_t { kGuest, kServer };

inline constexpr uint32_t kEntries = 2, kSlotBytes = 16, kMaxServers = 4;

// What both sides see.
struct Shared {
  RingControl control;
  Word server;  // Header::server: which server the guest is to ring. 0: none.
  Descriptor descriptors[kEntries] = {};
  std::byte slots[kEntries * kSlotBytes] = {};
  // Not memory, but what the test remembers of the world.
  bool rung_guest = false;
  bool rung_server[kMaxServers + 1] = {};  // Each incarnation has a doorbell of its own; [0]: of none.
  uint8_t incarnation = 1;                 // Of the server.
  uint8_t delivered = 0;                   // Frames 0 … delivered - 1 have had their effect.
};

class Program {
 public:
  // Runs one iteration. Everything that it is to know later is in the object, which is trivially copyable.
  virtual void Iterate() = 0;
  virtual bool finished() const { return false; }

 protected:
  ~Program() = default;
};

class Machine {
 public:
  struct Options {
    uint32_t deaths = 0;  // Of the server.
    uint32_t start = 0;   // Where the indices stand.
    size_t max_states = 20'000'000;
  };
  struct Result {
    std::string finding;  // Empty: nothing is wrong.
    std::string trace;    // The steps that lead to it.
    size_t states = 0;
    size_t ends = 0;  // States in which nothing can happen any more.
  };

  // `make` puts a new program of a side into memory of kProgramBytes; of a server, each incarnation.
  static constexpr size_t kProgramBytes = 128;
  using Make = std::function<Program*(Side, std::byte*)>;
  // `end` says what is wrong with a state in which nothing can happen any more; empty: nothing.
  using End = std::function<std::string(const Shared&, const Program& guest, const Program& server)>;

  Machine(const Options& options, Make make, End end);
  ~Machine();
  Result Explore();

  // ---- For programs.
  static Machine& instance();
  Shared& shared() { return shared_; }
  RingView view();
  void Ring(bool* doorbell);
  void Sleep(bool* doorbell);  // Until it is rung.
  void Find(const std::string& what);

  // ---- For Word.
  uint32_t Load(const Word& word);
  void Store(Word& word, uint32_t value, bool release);
  void Fence();

 private:
  static constexpr size_t kMaxBuffered = 8, kMaxSteps = 24;
  struct Buffered {
    uint16_t at;  // Of the word, in shared_.
    bool release;
    uint32_t value;
  };
  struct SideState {
    alignas(16) std::byte program[kProgramBytes];  // As it was before the iteration under way.
    uint32_t seen[kMaxSteps];                      // What its steps so far have given.
    uint8_t steps;
    uint8_t buffered;
    Buffered buffer[kMaxBuffered];  // Oldest first.
  };
  struct State {
    Shared shared;
    SideState sides[2];
    uint8_t deaths;
  };

  struct Choice {
    enum class Kind : uint8_t { kStep, kFlush, kKill } kind;
    Side side;
    uint8_t entry;  // kFlush: of the buffer.
  };

  // A step of the running side. True: it was taken before, and gave *value. Does not return if it is not its
  // turn.
  bool Taken(uint32_t* value);
  void Note(const char* what, const Word* word, uint32_t value);
  void Give(uint32_t value);
  [[noreturn]] void Escape() { std::longjmp(escape_, 1); }

  std::vector<Choice> Choices(const State& state) const;
  bool Apply(State& state, const Choice& choice);  // False: it cannot be taken now.
  bool Step(State& state, Side side);
  void Kill(State& state);
  void Flush(State& state, Side side, size_t entry);
  bool Visit(const State& state);
  void CheckEnd(const State& state);
  std::string Trace(const std::vector<Choice>& path);
  State First();

  const Options options_;
  const Make make_;
  const End end_;
  Shared shared_;
  alignas(16) std::byte memory_[2][kProgramBytes];  // Where programs run.
  Program* programs_[2] = {};
  // Of the step that is being taken.
  SideState* running_ = nullptr;
  uint8_t position_ = 0;
  bool granted_ = false, moved_ = false;
  std::jmp_buf escape_;
  std::string finding_;
  std::string* story_ = nullptr;  // Of each step, if wanted.
  std::unordered_set<uint64_t> visited_;
};

}  // namespace librettos::channel::explorer
