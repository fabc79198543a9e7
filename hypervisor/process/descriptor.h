// An owned file descriptor.
#pragma once

#include <unistd.h>

#include <memory>
#include <utility>

namespace librettos::process {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) {
      Reset();
      number_ = std::exchange(other.number_, -1);
    }
    return *this;
  }
  ~Descriptor() { Reset(); }

  int get() const { return number_; }
  bool valid() const { return number_ >= 0; }
  void Reset() {
    if (number_ >= 0) close(number_);
    number_ = -1;
  }

 private:
  int number_ = -1;
};

// One that stands in a table and in messages under way at the same time.
using SharedDescriptor = std::shared_ptr<const Descriptor>;

}  // namespace librettos::process
