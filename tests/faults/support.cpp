#include "support.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <regex>
#include <set>

#include "sluice/base/file.hpp"

namespace sluice::faults {

std::vector<long> chosen(long all, bool every, const std::string& kind) {
  const long most = !every ? 2 : kind == "memory" ? 400 : all;
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
