// main() of a fuzz test outside of fuzzing: replays each input below the directory that is its argument, and
// the empty one, as a test case each. A file *.hex holds one input a line, hexadecimal, "#" begins a comment;
// any other file is an input as it is.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

class Replay : public testing::Test {
 public:
  explicit Replay(std::string input) : input_(std::move(input)) {}
  void TestBody() override {
    // On the heap without slack, so that a sanitizer sees a read outside.
    const std::vector<uint8_t> bytes(input_.begin(), input_.end());
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }

 private:
  const std::string input_;
};

void Add(const std::string& name, const std::string& input) {
  testing::RegisterTest("Corpus", name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
                        [input]() -> testing::Test* { return new Replay(input); });
}

int Digit(char c) {
  const std::string digits = "0123456789abcdef";
  const size_t at = digits.find(c);
  return at == std::string::npos ? -1 : static_cast<int>(at);
}

// False: not hexadecimal.
bool Decode(const std::string& line, std::string& out) {
  int half = -1;
  for (char c : line.substr(0, line.find('#'))) {
    if (c == ' ') continue;
    const int digit = Digit(c);
    if (digit < 0) return false;
    if (half >= 0) out.push_back(static_cast<char>(half << 4 | digit));
    half = half < 0 ? digit : -1;
  }
  return half < 0;
}

bool AddLines(const std::filesystem::path& file, std::istream& in) {
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    std::string input;
    if (!Decode(line, input)) {
      std::fprintf(stderr, "%s:%d: not hexadecimal\n", file.c_str(), number);
      return false;
    }
    if (!input.empty()) Add(file.stem().string() + "/" + std::to_string(number), input);
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  Add("empty", "");
  for (int i = 1; i < argc; ++i) {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    for (const auto& file : files) {
      std::ifstream in(file, std::ios::binary);
      if (file.extension() == ".hex") {
        if (!AddLines(file, in)) return 1;
      } else {
        Add(file.filename().string(), std::string(std::istreambuf_iterator<char>(in), {}));
      }
    }
  }
  return RUN_ALL_TESTS();
}
