#pragma once
// Keys that requests are asked for.

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::server {

class ApiKeys {
 public:
  /// None is asked for.
  ApiKeys() = default;
  /// Of a text with a key a line, each perhaps followed by blanks and a name; empty lines and those
  /// that begin with # are left out. Throws Error, with `file` and the line, for a key of fewer
  /// than 8 characters or given twice, and when there is none.
  ApiKeys(std::string_view text, const std::string& file);
  static ApiKeys read(const std::filesystem::path& file);

  bool asked_for() const { return !keys_.empty(); }
  /// The name of the key in a header field "Bearer KEY"; none when it is not known. How long it
  /// takes does not tell how much of a key was right.
  std::optional<std::string> name_of(std::string_view authorization) const;

 private:
  struct Key {
    std::string key, name;
  };
  std::vector<Key> keys_;
};

}  // namespace sluice::server
