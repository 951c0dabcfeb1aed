#include "options.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "sluice/base/error.hpp"
#include "sluice/base/parallel.hpp"

namespace sluice::cli {
namespace {

std::string absolute(const std::string& path) {
  return std::filesystem::absolute(path).lexically_normal().string();
}

CLI::Option* typed(CLI::Option* option, const std::string& type) {
  return option->type_name(type)->expected(1);
}

void put(nlohmann::json& target, const std::string& section, const std::string& field,
         const nlohmann::json& value) {
  (section.empty() ? target : target[section])[field] = value;
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

CLI::Option* add_integer(CLI::App& app, const std::string& flag, std::int64_t& value,
                         const std::string& description) {
  return typed(app.add_option_function<std::string>(
                   flag, [&value, flag](const std::string& s) { value = parse_integer(flag, s); },
                   wrapped(description)),
               "N");
}

CLI::Option* add_number(CLI::App& app, const std::string& flag, double& value,
                        const std::string& description) {
  return typed(app.add_option_function<std::string>(
                   flag, [&value, flag](const std::string& s) { value = parse_number(flag, s); },
                   wrapped(description)),
               "X");
}

CLI::Option* add_text(CLI::App& app, const std::string& flag, std::string& value,
                      const std::string& description, const std::string& type) {
  return typed(app.add_option(flag, value, wrapped(description)), type);
}

CLI::Option* add_threads(CLI::App& app) {
  return typed(
      app.add_option_function<std::string>(
          "--threads",
          [](const std::string& s) {
            constexpr std::int64_t most = 4096;
            const std::int64_t threads = parse_integer("--threads", s);
            if (threads < 1 || threads > most) {
              throw UsageError(fmt::format("--threads: expected 1 to {}, got {}", most, threads));
            }
            set_thread_count(static_cast<int>(threads));
          },
          wrapped("threads to compute with (default: the cores this process may use)")),
      "N");
}

CLI::Option* FieldFlags::finish(CLI::Option* option, const std::string& type) {
  option->group(group_);
  return type.empty() ? option : typed(option, type);
}

CLI::Option* FieldFlags::text(const std::string& flag, const std::string& field,
                              const std::string& type, const std::string& description) {
  const auto set = [&target = target_, section = section_, field](const std::string& s) {
    put(target, section, field, s);
  };
  return finish(app_.add_option_function<std::string>(flag, set, wrapped(description)), type);
}

CLI::Option* FieldFlags::integer(const std::string& flag, const std::string& field,
                                 const std::string& description) {
  const auto set = [&target = target_, section = section_, flag, field](const std::string& s) {
    put(target, section, field, parse_integer(flag, s));
  };
  return finish(app_.add_option_function<std::string>(flag, set, wrapped(description)), "N");
}

CLI::Option* FieldFlags::number(const std::string& flag, const std::string& field,
                                const std::string& description) {
  const auto set = [&target = target_, section = section_, flag, field](const std::string& s) {
    put(target, section, field, parse_number(flag, s));
  };
  return finish(app_.add_option_function<std::string>(flag, set, wrapped(description)), "X");
}

CLI::Option* FieldFlags::integers(const std::string& flag, const std::string& field,
                                  const std::string& description) {
  const auto set = [&target = target_, section = section_, flag, field](const std::string& s) {
    nlohmann::json values = nlohmann::json::array();
    std::istringstream parts(s);
    for (std::string part; std::getline(parts, part, ',');) {
      values.push_back(parse_integer(flag, part));
    }
    put(target, section, field, values);
  };
  return finish(app_.add_option_function<std::string>(flag, set, wrapped(description)), "A,B,..");
}

CLI::Option* FieldFlags::texts(const std::string& flag, const std::string& field,
                               const std::string& type, const std::string& description) {
  const auto set = [&target = target_, section = section_, field](const std::string& s) {
    nlohmann::json values = nlohmann::json::array();
    std::istringstream parts(s);
    for (std::string part; std::getline(parts, part, ',');) values.push_back(part);
    put(target, section, field, values);
  };
  return finish(app_.add_option_function<std::string>(flag, set, wrapped(description)), type);
}

CLI::Option* FieldFlags::paths(const std::string& flag, const std::string& field,
                               const std::string& description) {
  const auto set = [&target = target_, section = section_,
                    field](const std::vector<std::string>& given) {
    nlohmann::json values = nlohmann::json::array();
    for (const std::string& path : given) values.push_back(absolute(path));
    put(target, section, field, values);
  };
  return app_.add_option_function<std::vector<std::string>>(flag, set, wrapped(description))
      ->group(group_)
      ->type_name("PATH..");
}

CLI::Option* FieldFlags::toggle(const std::string& flag, const std::string& field, bool value,
                                const std::string& description) {
  const auto set = [&target = target_, section = section_, field, value] {
    put(target, section, field, value);
  };
  return finish(app_.add_flag_callback(flag, set, wrapped(description)), "");
}

}  // namespace sluice::cli
