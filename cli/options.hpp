#pragma once
// Flags: parsing of values, and flags that stand for a field of a configuration.

#include <CLI/App.hpp>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace sluice::cli {

/// Breaks a description into the lines --help has room for.
std::string wrapped(const std::string& text);

/// A whole number, also written "1e6". Throws UsageError naming the flag.
std::int64_t parse_integer(const std::string& flag, const std::string& text);
/// A finite number. Throws UsageError naming the flag.
double parse_number(const std::string& flag, const std::string& text);

/// A time above 0 as "90s", "5m" or "1.5h", in minutes. Throws UsageError naming the flag.
double parse_minutes(const std::string& flag, const std::string& text);

/// Adds an option that sets `value`.
CLI::Option* add_integer(CLI::App& app, const std::string& flag, std::int64_t& value,
                         const std::string& description);
CLI::Option* add_number(CLI::App& app, const std::string& flag, double& value,
                        const std::string& description);
CLI::Option* add_text(CLI::App& app, const std::string& flag, std::string& value,
                      const std::string& description, const std::string& type);

/// Adds --threads N, which takes effect at once.
CLI::Option* add_threads(CLI::App& app);

/// Flags that set fields of a JSON configuration.
class FieldFlags {
 public:
  FieldFlags(CLI::App& app, nlohmann::json& target) : app_(app), target_(target) {}

  /// The fields that follow go into object `section` ("" for the top), their flags into the help
  /// group `group`.
  void begin(const std::string& section, const std::string& group) {
    section_ = section;
    group_ = group;
  }
  CLI::Option* text(const std::string& flag, const std::string& field, const std::string& type,
                    const std::string& description);
  CLI::Option* integer(const std::string& flag, const std::string& field,
                       const std::string& description);
  CLI::Option* number(const std::string& flag, const std::string& field,
                      const std::string& description);
  /// Numbers separated by commas.
  CLI::Option* integers(const std::string& flag, const std::string& field,
                        const std::string& description);
  /// Words separated by commas.
  CLI::Option* texts(const std::string& flag, const std::string& field, const std::string& type,
                     const std::string& description);
  /// One or more paths, made absolute.
  CLI::Option* paths(const std::string& flag, const std::string& field,
                     const std::string& description);
  /// A flag without a value that sets the field to `value`.
  CLI::Option* toggle(const std::string& flag, const std::string& field, bool value,
                      const std::string& description);

 private:
  CLI::Option* finish(CLI::Option* option, const std::string& type);

  CLI::App& app_;
  nlohmann::json& target_;
  std::string section_;
  std::string group_;
};

}  // namespace sluice::cli
