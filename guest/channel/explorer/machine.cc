#include "guest/channel/explorer/machine.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace librettos::channel {

using explorer::Machine;

uint32_t Word::load(std::memory_order) const { return Machine::instance().Load(*this); }
void Word::store(uint32_t value, std::memory_order order) {
  Machine::instance().Store(*this, value, order != std::memory_order_relaxed);
}
void FullFence() { Machine::instance().Fence(); }

namespace explorer {
namespace {

Machine* current;
const char* const kNames[] = {"guest", "server"};

uint64_t Mix(uint64_t hash, const void* bytes, size_t size) {
  const auto* at = static_cast<const unsigned char*>(bytes);
  for (; size >= 8; size -= 8, at += 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    hash = (hash ^ word) * 0x9e3779b97f4a7c15;
    hash ^= hash >> 29;
  }
  for (; size; --size) hash = (hash ^ *at++) * 0x100000001b3;
  return hash;
}

}  // namespace

Machine& Machine::instance() { return *current; }

Machine::Machine(const Options& options, Make make, End end)
    : options_(options), make_(std::move(make)), end_(std::move(end)) {
  current = this;
}
Machine::~Machine() { current = nullptr; }

RingView Machine::view() {
  return {&shared_.control, shared_.descriptors, shared_.slots, kEntries, kSlotBytes};
}

// ---- What a program does ----

bool Machine::Taken(uint32_t* value) {
  if (position_ < running_->steps) {
    *value = running_->seen[position_++];
    return true;
  }
  if (!granted_) Escape();
  return false;
}

void Machine::Give(uint32_t value) {
  if (running_->steps == kMaxSteps) std::abort();  // Iterations are to be shorter.
  running_->seen[running_->steps++] = value;
  ++position_;
  granted_ = false;
  moved_ = true;
}

void Machine::Note(const char* what, const Word* word, uint32_t value) {
  if (!story_) return;
  const RingControl& ring = shared_.control;
  const std::pair<const Word*, const char*> names[] = {{&ring.producer.index, "producer index"},
                                                       {&ring.producer.event_index, "producer event index"},
                                                       {&ring.producer.event_wanted, "producer wanted"},
                                                       {&ring.consumer.index, "consumer index"},
                                                       {&ring.consumer.event_index, "consumer event"},
                                                       {&ring.consumer.event_wanted, "consumer wanted"},
                                                       {&shared_.server, "server"}};
  *story_ += what;
  for (const auto& [at, name] : names) {
    if (word == at) *story_ += std::string(" ") + name + " " + std::to_string(value);
  }
}

uint32_t Machine::Load(const Word& word) {
  uint32_t value;
  if (Taken(&value)) return value;
  value = word.value;
  const auto at = reinterpret_cast<const std::byte*>(&word) - reinterpret_cast<const std::byte*>(&shared_);
  for (size_t i = 0; i < running_->buffered; ++i) {
    if (running_->buffer[i].at == at) value = running_->buffer[i].value;  // Its own, the newest.
  }
  Note("loads", &word, value);
  Give(value);
  return value;
}

void Machine::Store(Word& word, uint32_t value, bool release) {
  uint32_t before;
  if (Taken(&before)) return;
  if (running_->buffered == kMaxBuffered) Escape();  // Something has to get to memory first.
  const auto at = reinterpret_cast<std::byte*>(&word) - reinterpret_cast<std::byte*>(&shared_);
  running_->buffer[running_->buffered++] = {static_cast<uint16_t>(at), release, value};
  Note("stores", &word, value);
  Give(value);
}

void Machine::Fence() {
  // With nothing stored it is no step: nobody else can tell.
  if (position_ == running_->steps && running_->buffered == 0) return Give(0), void(granted_ = moved_);
  uint32_t value;
  if (Taken(&value)) return;
  Escape();
}

void Machine::Ring(bool* doorbell) {
  uint32_t value;
  if (Taken(&value)) return;
  if (running_->buffered) Escape();  // A system call.
  *doorbell = true;
  if (story_) *story_ += doorbell == &shared_.rung_guest ? "rings the guest" : "rings the server";
  Give(0);
}

void Machine::Sleep(bool* doorbell) {
  uint32_t value;
  if (Taken(&value)) return;
  if (running_->buffered || !*doorbell) Escape();
  *doorbell = false;
  if (story_) *story_ += "is woken";
  Give(0);
}

void Machine::Find(const std::string& what) {
  if (finding_.empty()) finding_ = what;
}

// ---- What can happen ----

bool Machine::Step(State& state, Side side) {
  running_ = &state.sides[side];
  std::memcpy(memory_[side], running_->program, kProgramBytes);
  std::memcpy(static_cast<void*>(&shared_), &state.shared, sizeof(shared_));
  position_ = 0;
  granted_ = true;
  moved_ = false;
  if (setjmp(escape_) == 0) {
    programs_[side]->Iterate();
    std::memcpy(running_->program, memory_[side], kProgramBytes);
    std::memset(running_->seen, 0, sizeof(running_->seen));
    running_->steps = 0;
    moved_ = true;
  }
  std::memcpy(static_cast<void*>(&state.shared), &shared_, sizeof(shared_));
  return moved_;
}

void Machine::Flush(State& state, Side side, size_t entry) {
  SideState& from = state.sides[side];
  const Buffered stored = from.buffer[entry];
  std::memcpy(reinterpret_cast<std::byte*>(&state.shared) + stored.at, &stored.value, sizeof(stored.value));
  std::memmove(static_cast<void*>(&from.buffer[entry]), &from.buffer[entry + 1],
               (from.buffered - entry - 1) * sizeof(Buffered));
  std::memset(static_cast<void*>(&from.buffer[--from.buffered]), 0, sizeof(Buffered));
}

// What the dead one stored gets to memory before anybody knows of its death.
void Machine::Kill(State& state) {
  SideState& server = state.sides[kServer];
  while (server.buffered) Flush(state, kServer, 0);
  ++state.deaths;
  ++state.shared.incarnation;
  std::memset(static_cast<void*>(&server), 0, sizeof(server));
  std::memcpy(static_cast<void*>(&shared_), &state.shared, sizeof(shared_));
  std::memset(memory_[kServer], 0, kProgramBytes);
  programs_[kServer] = make_(kServer, memory_[kServer]);
  std::memcpy(server.program, memory_[kServer], kProgramBytes);
}

bool Machine::Apply(State& state, const Choice& choice) {
  if (story_) *story_ += choice.kind == Choice::Kind::kKill ? "the server dies" : kNames[choice.side];
  if (story_)
    *story_ += choice.kind == Choice::Kind::kFlush ? ": a store of it gets to memory: word at " : ": ";
  switch (choice.kind) {
    case Choice::Kind::kStep:
      return Step(state, choice.side);
    case Choice::Kind::kFlush:
      if (story_) *story_ += std::to_string(state.sides[choice.side].buffer[choice.entry].at);
      Flush(state, choice.side, choice.entry);
      return true;
    case Choice::Kind::kKill:
      Kill(state);
      return true;
  }
  std::abort();
}

std::vector<Machine::Choice> Machine::Choices(const State& state) const {
  std::vector<Choice> choices;
  for (Side side : {kGuest, kServer}) {
    const SideState& of = state.sides[side];
    choices.push_back({Choice::Kind::kStep, side, 0});
    for (uint8_t entry = 0; entry < of.buffered; ++entry) {
      const bool waits = std::any_of(of.buffer, of.buffer + entry, [&](const Buffered& earlier) {
        return of.buffer[entry].release || earlier.at == of.buffer[entry].at;
      });
      if (!waits) choices.push_back({Choice::Kind::kFlush, side, entry});
    }
  }
  if (state.deaths < options_.deaths) choices.push_back({Choice::Kind::kKill, kServer, 0});
  return choices;
}

bool Machine::Visit(const State& state) {
  // 64 bits: that two of some millions of states share them, and one is missed, is less likely than 10^-5.
  return visited_.insert(Mix(0, &state, sizeof(state))).second;
}

void Machine::CheckEnd(const State& state) {
  for (Side side : {kGuest, kServer}) std::memcpy(memory_[side], state.sides[side].program, kProgramBytes);
  const std::string wrong = end_(state.shared, *programs_[kGuest], *programs_[kServer]);
  if (!wrong.empty()) Find(wrong);
}

Machine::State Machine::First() {
  State state;
  std::memset(static_cast<void*>(&state), 0, sizeof(state));
  state.shared.incarnation = 1;
  state.shared.control.producer.index.value = state.shared.control.consumer.index.value = options_.start;
  std::memcpy(static_cast<void*>(&shared_), &state.shared, sizeof(shared_));
  for (Side side : {kGuest, kServer}) {
    std::memset(memory_[side], 0, kProgramBytes);
    programs_[side] = make_(side, memory_[side]);
    std::memcpy(state.sides[side].program, memory_[side], kProgramBytes);
  }
  return state;
}

std::string Machine::Trace(const std::vector<Choice>& path) {
  std::string story;
  story_ = &story;
  State state = First();
  for (const Choice& choice : path) {
    Apply(state, choice);
    story += "\n";
  }
  story_ = nullptr;
  return story;
}

Machine::Result Machine::Explore() {
  struct Level {
    State state;
    std::vector<Choice> choices;
    size_t next = 0;
    bool moved = false;  // Something but a death can happen.
  };
  Result result;
  visited_.clear();
  finding_.clear();
  std::vector<Level> levels;
  std::vector<Choice> path;
  levels.push_back({First(), {}});
  levels.back().choices = Choices(levels.back().state);
  Visit(levels.back().state);
  while (!levels.empty() && finding_.empty() && visited_.size() < options_.max_states) {
    Level& level = levels.back();
    if (level.next == level.choices.size()) {
      if (!level.moved) {
        ++result.ends;
        CheckEnd(level.state);
        if (!finding_.empty()) break;
      }
      levels.pop_back();
      if (!path.empty()) path.pop_back();
      continue;
    }
    const Choice choice = level.choices[level.next++];
    State state;
    std::memcpy(static_cast<void*>(&state), &level.state, sizeof(state));
    if (choice.kind == Choice::Kind::kStep) {
      std::memcpy(memory_[choice.side], state.sides[choice.side].program, kProgramBytes);
      if (programs_[choice.side]->finished()) continue;
    }
    if (!Apply(state, choice)) continue;
    level.moved |= choice.kind != Choice::Kind::kKill;
    path.push_back(choice);
    if (!finding_.empty()) break;
    if (!Visit(state)) {
      path.pop_back();
      continue;
    }
    levels.push_back({state, Choices(state)});
  }
  if (visited_.size() >= options_.max_states) Find("more states than may be");
  result.finding = finding_;
  result.states = visited_.size();
  if (!finding_.empty()) result.trace = Trace(path);
  return result;
}

}  // namespace explorer
}  // namespace librettos::channel
