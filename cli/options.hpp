#pragma once
// Arguments of commands: values, flags, and flags that stand for a field of a table.
//
// CLI11 takes seconds to compile, so only options.cpp and main.cpp include it; commands declare
// their arguments through this header.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include "sluice/base/fields.hpp"
#include "sluice/base/pieces.hpp"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace sluice::cli {

/// Columns of --help, which is read on terminals of 80: those of names, and of what is said of
/// them.
inline constexpr std::size_t help_name_columns = 28;
inline constexpr std::size_t help_text_columns = 51;

/// Breaks a description into the lines --help has room for.
std::string wrapped(const std::string& text, std::size_t columns = help_text_columns);

/// A whole number, also written "1e6". Throws UsageError naming the flag.
std::int64_t parse_integer(const std::string& flag, const std::string& text);
/// A finite number. Throws UsageError naming the flag.
double parse_number(const std::string& flag, const std::string& text);

/// A time above 0 as "90s", "5m" or "1.5h", in minutes. Throws UsageError naming the flag.
double parse_minutes(const std::string& flag, const std::string& text);

/// Adds a command without arguments.
CLI::App& add_command(CLI::App& program, const std::string& name, const std::string& description);
/// `run` is called when the command was chosen, its arguments being set.
void when_chosen(CLI::App& app, std::function<void()> run);
/// What the chosen command was given that processes which share its work must have alike: its name
/// and its flags, but for those that name files or say how much of a machine to use. Of files,
/// whether they are standard input.
Facts given_flags();
/// Ends --help with a paragraph, if there is one, and with command lines to start from.
void add_footer(CLI::App& app, const std::string& text,
                std::initializer_list<const char*> examples);

/// One argument of a command, for what is said of it after it was added.
class Argument {
 public:
  explicit Argument(CLI::Option* option) : option_(option) {}
  const Argument& required() const;
  /// Moves it below this heading of --help.
  const Argument& group(const std::string& name) const;
  const Argument& describe(const std::string& description) const;
  /// It may not be given together with any of these.
  const Argument& excludes(std::initializer_list<Argument> others) const;
  /// Whether it was given.
  bool given() const;

 private:
  CLI::Option* option_;
};

/// The argument of that name that `app` has already.
Argument argument(CLI::App& app, const std::string& flag);

/// Adds an argument that sets `value`; `type` is what --help calls it.
Argument add_integer(CLI::App& app, const std::string& flag, std::int64_t& value,
                     const std::string& description);
Argument add_number(CLI::App& app, const std::string& flag, double& value,
                    const std::string& description);
Argument add_text(CLI::App& app, const std::string& flag, std::string& value,
                  const std::string& description, const std::string& type);
/// Any number of values.
Argument add_texts(CLI::App& app, const std::string& flag, std::vector<std::string>& values,
                   const std::string& description, const std::string& type);
/// A flag that may be given several times, each with one value.
Argument add_each(CLI::App& app, const std::string& flag, std::vector<std::string>& values,
                  const std::string& description, const std::string& type);
/// A flag without a value.
Argument add_flag(CLI::App& app, const std::string& flag, bool& value,
                  const std::string& description);
/// A flag that may have a number: `standard` without one. Accepted from 1 to `most`.
Argument add_optional_integer(CLI::App& app, const std::string& flag, std::int64_t& value,
                              std::int64_t standard, std::int64_t most,
                              const std::string& description);

/// Adds --threads N, which takes effect at once.
Argument add_threads(CLI::App& app);
/// Whether it was given.
bool threads_given();

/// What is done with the value that a flag gives to a field; `place` is the flag.
using SetField = std::function<void(const Field&, const Value&, const FieldPlace& place)>;

/// Adds a field's flags: the one that sets it, with `help`, and the one that sets it to false.
void add_field_flag(CLI::App& app, const Field& field, const std::string& help,
                    const std::string& group, const SetField& set);
/// Adds the flags of all fields that have some.
void add_field_flags(CLI::App& app, const FieldTable& table, const SetField& set);

}  // namespace sluice::cli
