#include "options.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"

namespace sluice::cli {
namespace {

using nlohmann::json;

std::string absolute(const std::string& path) {
  return std::filesystem::absolute(path).lexically_normal().string();
}

CLI::Option* typed(CLI::Option* option, const std::string& type) {
  return option->type_name(type)->expected(1);
}

void put(json& target, const std::string& section, const std::string& field, const json& value) {
  (section.empty() ? target : target[section])[field] = value;
}

/// What commas separate.
std::vector<std::string> parts_of(const std::string& text) {
  std::vector<std::string> found;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) found.push_back(part);
  return found;
}

Argument read_by(CLI::App& app, const std::string& flag,
                 const std::function<void(const std::string&)>& set, const std::string& description,
                 const std::string& type) {
  return Argument(
      typed(app.add_option_function<std::string>(flag, set, wrapped(description)), type));
}

}  // namespace

std::string wrapped(const std::string& text) {
  constexpr std::size_t width = 64;
  std::string lines;
  std::size_t column = 0;
  std::istringstream words(text);
  for (std::string word; words >> word; column += word.size()) {
    if (column + 1 + word.size() > width) {
      lines += '\n';
      column = 0;
    } else if (column > 0) {
      lines += ' ';
      ++column;
    }
    lines += word;
  }
  return lines;
}

std::int64_t parse_integer(const std::string& flag, const std::string& text) {
  const auto refuse = [&](const char* expected) {
    throw UsageError(fmt::format("{}: expected {}, got '{}'", flag, expected, text));
  };
  constexpr double largest = 9e18;
  errno = 0;
  char* end = nullptr;
  const long long whole = std::strtoll(text.c_str(), &end, 10);
  if (!text.empty() && *end == '\0' && errno == 0) return whole;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || value != std::floor(value)) refuse("a whole number");
  if (std::abs(value) > largest) refuse("a whole number of at most 18 digits");
  return static_cast<std::int64_t>(value);
}

double parse_number(const std::string& flag, const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !std::isfinite(value)) {
    throw UsageError(fmt::format("{}: expected a number, got '{}'", flag, text));
  }
  return value;
}

double parse_minutes(const std::string& flag, const std::string& text) {
  const auto refuse = [&] {
    throw UsageError(fmt::format("{}: expected a time like 90s, 5m or 1.5h, got '{}'", flag, text));
  };
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (end == text.c_str() || !(value > 0) || !std::isfinite(value)) refuse();
  const std::string unit = end;
  if (unit == "s") return value / 60;
  if (unit == "h") return value * 60;
  if (unit != "m") refuse();
  return value;
}

CLI::App& add_command(CLI::App& program, const std::string& name, const std::string& description) {
  return *program.add_subcommand(name, description);
}

void when_chosen(CLI::App& app, std::function<void()> run) { app.callback(std::move(run)); }

void add_footer(CLI::App& app, const std::string& text) { app.footer(text); }

const Argument& Argument::required() const {
  option_->required();
  return *this;
}

const Argument& Argument::group(const std::string& name) const {
  option_->group(name);
  return *this;
}

const Argument& Argument::describe(const std::string& description) const {
  option_->description(wrapped(description));
  return *this;
}

const Argument& Argument::excludes(std::initializer_list<Argument> others) const {
  for (const Argument& other : others) option_->excludes(other.option_);
  return *this;
}

bool Argument::given() const { return option_->count() > 0; }

Argument argument(CLI::App& app, const std::string& flag) { return Argument(app.get_option(flag)); }

Argument add_integer(CLI::App& app, const std::string& flag, std::int64_t& value,
                     const std::string& description) {
  return read_by(
      app, flag, [&value, flag](const std::string& s) { value = parse_integer(flag, s); },
      description, "N");
}

Argument add_number(CLI::App& app, const std::string& flag, double& value,
                    const std::string& description) {
  return read_by(
      app, flag, [&value, flag](const std::string& s) { value = parse_number(flag, s); },
      description, "X");
}

Argument add_text(CLI::App& app, const std::string& flag, std::string& value,
                  const std::string& description, const std::string& type) {
  return read_by(
      app, flag, [&value](const std::string& s) { value = s; }, description, type);
}

Argument add_texts(CLI::App& app, const std::string& flag, std::vector<std::string>& values,
                   const std::string& description, const std::string& type) {
  return Argument(app.add_option(flag, values, wrapped(description))->type_name(type));
}

Argument add_flag(CLI::App& app, const std::string& flag, bool& value,
                  const std::string& description) {
  return Argument(app.add_flag(flag, value, wrapped(description)));
}

Argument add_optional_integer(CLI::App& app, const std::string& flag, std::int64_t& value,
                              std::int64_t standard, std::int64_t most,
                              const std::string& description) {
  const auto set = [&value, flag, most](const std::string& text) {
    value = parse_integer(flag, text);
    if (value < 1 || value > most) {
      throw UsageError(fmt::format("{}: expected 1 to {}, got {}", flag, most, value));
    }
  };
  return Argument(app.add_option_function<std::string>(flag, set, wrapped(description))
                      ->expected(0, 1)
                      ->default_str(std::to_string(standard))
                      ->type_name("[N]"));
}

Argument add_threads(CLI::App& app) {
  const auto set = [](const std::string& s) {
    constexpr std::int64_t most = 4096;
    const std::int64_t threads = parse_integer("--threads", s);
    if (threads < 1 || threads > most) {
      throw UsageError(fmt::format("--threads: expected 1 to {}, got {}", most, threads));
    }
    set_thread_count(static_cast<int>(threads));
  };
  return read_by(app, "--threads", set,
                 "threads to compute with (default: the cores this process may use)", "N");
}

Argument FieldFlags::finish(CLI::Option* option, const std::string& type) {
  option->group(group_);
  return Argument(type.empty() ? option : typed(option, type));
}

Argument FieldFlags::add(const std::string& flag, const std::string& field, const std::string& type,
                         const std::string& description,
                         std::function<json(const std::string&)> read) {
  const auto set = [&target = target_, section = section_, field, read = std::move(read)](
                       const std::string& s) { put(target, section, field, read(s)); };
  return finish(app_.add_option_function<std::string>(flag, set, wrapped(description)), type);
}

Argument FieldFlags::text(const std::string& flag, const std::string& field,
                          const std::string& type, const std::string& description) {
  return add(flag, field, type, description, [](const std::string& s) { return json(s); });
}

Argument FieldFlags::integer(const std::string& flag, const std::string& field,
                             const std::string& description) {
  return add(flag, field, "N", description,
             [flag](const std::string& s) { return json(parse_integer(flag, s)); });
}

Argument FieldFlags::number(const std::string& flag, const std::string& field,
                            const std::string& description) {
  return add(flag, field, "X", description,
             [flag](const std::string& s) { return json(parse_number(flag, s)); });
}

Argument FieldFlags::integers(const std::string& flag, const std::string& field,
                              const std::string& description) {
  return add(flag, field, "A,B,..", description, [flag](const std::string& s) {
    json values = json::array();
    for (const std::string& part : parts_of(s)) values.push_back(parse_integer(flag, part));
    return values;
  });
}

Argument FieldFlags::texts(const std::string& flag, const std::string& field,
                           const std::string& type, const std::string& description) {
  return add(flag, field, type, description,
             [](const std::string& s) { return json(parts_of(s)); });
}

Argument FieldFlags::paths(const std::string& flag, const std::string& field,
                           const std::string& description) {
  const auto set = [&target = target_, section = section_,
                    field](const std::vector<std::string>& given) {
    json values = json::array();
    for (const std::string& path : given) values.push_back(absolute(path));
    put(target, section, field, values);
  };
  return Argument(
      app_.add_option_function<std::vector<std::string>>(flag, set, wrapped(description))
          ->group(group_)
          ->type_name("PATH.."));
}

Argument FieldFlags::toggle(const std::string& flag, const std::string& field, bool value,
                            const std::string& description) {
  const auto set = [&target = target_, section = section_, field, value] {
    put(target, section, field, value);
  };
  return finish(app_.add_flag_callback(flag, set, wrapped(description)), "");
}

}  // namespace sluice::cli
