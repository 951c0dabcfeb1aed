#include "support.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <regex>
#include <set>
#include <sstream>
#include <string_view>

#include "sluice/base/file.hpp"

namespace sluice::faults {

namespace {

/// A function of another library below which a refused allocation ends the process by SIGSEGV.
struct KnownCrash {
  std::string_view library, function, reason;
};

// All were met by refusing each of some thousand allocations below them (oneDNN 2.6, Debian 12's).
constexpr std::array<KnownCrash, 2> known_crashes = {
    {{"libdnnl.so", "brgemm_kernel_create",
      "the generator of a batched product's code is used although it could not be made"},
     {"libdnnl.so", "dnnl_primitive_create",
      "kernels that copy or transform operands are generated likewise, unchecked"}}};

}  // namespace

bool is_known_crash(const std::string& place) {
  std::istringstream frames(place);
  for (std::string frame; std::getline(frames, frame);) {
    for (const KnownCrash& known : known_crashes) {
      if (frame.starts_with(known.library) && frame.find(known.function) != std::string::npos) {
        return true;
      }
    }
  }
  return false;
}

std::vector<long> chosen(long all, long most, const std::string& kind) {
  if (most == 0) most = kind == "memory" ? 400 : all;
  std::set<long> numbers;
  for (long i = 0; i < std::min(all, most); ++i) {
    // Spread, and not at the same places in all tests.
    numbers.insert(most >= all ? i + 1 : 1 + (i * all + all / 2) / most);
  }
  return {numbers.begin(), numbers.end()};
}

bool is_sentence(const std::string& said) {
  return said.size() <= 500 && std::count(said.begin(), said.end(), '\n') == 1;
}

std::vector<std::string> strays(const std::string& directory) {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    const std::string name = entry.path().filename().string();
    if (AtomicFile::is_temporary(name)) found.push_back(entry.path().string());
  }
  return found;
}

std::string tensors_of(const std::string& file) {
  const std::string bytes = read_file(file);
  std::uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof header);
  return bytes.substr(sizeof header + header);
}

std::string without_times(const std::string& said) {
  static const std::regex times("\"(seconds|tokens_per_second|check)\":(\"[0-9a-f]+\"|[-+0-9.e]+)");
  return std::regex_replace(said, times, "");
}

}  // namespace sluice::faults
