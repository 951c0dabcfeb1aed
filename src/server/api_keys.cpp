#include "api_keys.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"

namespace sluice::server {
namespace {

constexpr std::size_t shortest_key = 8;
constexpr std::string_view blanks = " \t\r";

/// Looks at every byte of `given`, whatever it finds.
bool same(std::string_view key, std::string_view given) {
  unsigned different = key.size() == given.size() ? 0 : 1;
  for (std::size_t i = 0; i < given.size(); ++i) {
    different |=
        static_cast<unsigned char>(given[i]) ^ static_cast<unsigned char>(key[i % key.size()]);
  }
  return different == 0;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(blanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(blanks) - begin + 1);
}

}  // namespace

ApiKeys::ApiKeys(std::string_view text, const std::string& file) {
  int number = 0;
  while (!text.empty()) {
    ++number;
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.front() == '#') continue;
    const std::size_t blank = std::min(line.find_first_of(blanks), line.size());
    Key key{std::string(line.substr(0, blank)), std::string(trimmed(line.substr(blank)))};
    const auto fault = [&](const char* what) {
      return Error(fmt::format("the keys in '{}', line {}: {}", file, number, what));
    };
    if (key.key.size() < shortest_key) throw fault("a key must have at least 8 characters");
    for (const Key& other : keys_) {
      if (other.key == key.key) throw fault("this key stands above already");
    }
    if (key.name.empty()) key.name = fmt::format("key {}", keys_.size() + 1);
    keys_.push_back(std::move(key));
  }
  if (keys_.empty()) {
    throw Error(fmt::format("'{}' holds no key, expected one a line", file));
  }
}

ApiKeys ApiKeys::read(const std::filesystem::path& file) {
  return ApiKeys(read_file(file, std::size_t{1} << 20), file.string());
}

std::optional<std::string> ApiKeys::name_of(std::string_view authorization) const {
  constexpr std::string_view scheme = "bearer ";
  if (authorization.size() < scheme.size() ||
      !std::equal(scheme.begin(), scheme.end(), authorization.begin(), [](char a, char b) {
        return a == std::tolower(static_cast<unsigned char>(b));
      })) {
    return std::nullopt;
  }
  const std::string_view given = trimmed(authorization.substr(scheme.size()));
  const Key* found = nullptr;
  for (const Key& key : keys_) {
    if (same(key.key, given)) found = &key;
  }
  return found ? std::optional(found->name) : std::nullopt;
}

}  // namespace sluice::server
