#include "options.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cmath>
#include <sstream>
#include <string_view>
#include <tuple>
#include <utility>

#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"
#include "sluice/base/numbers.hpp"
#include "sluice/base/parallel.hpp"

namespace sluice::cli {
namespace {

CLI::Option* typed(CLI::Option* option, const std::string& type) {
  return option->type_name(type)->expected(1);
}

Argument read_by(CLI::App& app, const std::string& flag,
                 const std::function<void(const std::string&)>& set, const std::string& description,
                 const std::string& type) {
  return Argument(
      typed(app.add_option_function<std::string>(flag, set, wrapped(description)), type));
}

}  // namespace

std::string wrapped(const std::string& text, std::size_t columns) {
  std::string lines;
  std::size_t column = 0;
  std::istringstream words(text);
  for (std::string word; words >> word; column += word.size()) {
    if (column > 0 && column + 1 + word.size() > columns) {
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
  if (const auto whole = whole_number(text)) return *whole;
  throw UsageError(fmt::format("{}: expected a whole number, got {}", flag, in_quotes(text)));
}

double parse_number(const std::string& flag, const std::string& text) {
  if (const auto real = real_number(text)) return *real;
  throw UsageError(fmt::format("{}: expected a number, got {}", flag, in_quotes(text)));
}

double parse_minutes(const std::string& flag, const std::string& text) {
  const std::string_view unit = text.empty() ? "" : std::string_view(text).substr(text.size() - 1);
  const double minutes = unit == "s" ? 1.0 / 60 : unit == "h" ? 60 : 1;
  const auto value = real_number(std::string_view(text).substr(0, text.size() - unit.size()));
  const bool known = unit == "s" || unit == "m" || unit == "h";
  if (!known || !value || !(*value > 0) || !(*value * minutes > 0) ||
      !std::isfinite(*value * minutes)) {
    throw UsageError(
        fmt::format("{}: expected a time like 90s, 5m or 1.5h, got {}", flag, in_quotes(text)));
  }
  return unit == "s" ? *value / 60 : *value * minutes;
}

CLI::App& add_command(CLI::App& program, const std::string& name, const std::string& description) {
  return *program.add_subcommand(name, description);
}

namespace {

const CLI::App* chosen_app = nullptr;

/// Whether what an argument takes is in files, or a machine's own.
bool may_differ(const CLI::Option& option) {
  constexpr std::array<std::string_view, 6> of_files = {"FILE",   "FILE.json", "PATH",
                                                        "PATH..", "PATH...",   "DIR"};
  constexpr std::array<std::string_view, 3> of_machines = {"--threads", "--jobs", "--timeout"};
  const auto has = [](const auto& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  return option.get_positional() || has(of_files, option.get_type_name()) ||
         has(of_machines, option.get_name());
}

}  // namespace

void when_chosen(CLI::App& app, std::function<void()> run) {
  app.callback([&app, run = std::move(run)] {
    chosen_app = &app;
    run();
  });
}

Facts given_flags() {
  Facts facts;
  if (chosen_app == nullptr) return facts;
  facts.emplace_back("command", chosen_app->get_name());
  for (const CLI::Option* option : chosen_app->get_options()) {
    if (option->count() == 0) continue;
    const std::vector<std::string> values = option->results();
    const bool input = std::find(values.begin(), values.end(), "-") != values.end();
    if (may_differ(*option) && !input) continue;
    facts.emplace_back(option->get_name(), input ? "-" : fmt::format("{}", fmt::join(values, " ")));
  }
  return facts;
}

void add_footer(CLI::App& app, const std::string& text,
                std::initializer_list<const char*> examples) {
  std::string footer;
  if (!text.empty()) footer = wrapped(text, help_name_columns + help_text_columns) + "\n\n";
  footer += "Examples:";
  for (const char* example : examples) footer += std::string("\n  ") + example;
  app.footer(footer);
}

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

Argument add_each(CLI::App& app, const std::string& flag, std::vector<std::string>& values,
                  const std::string& description, const std::string& type) {
  return Argument(
      app.add_option(flag, values, wrapped(description))->type_name(type)->allow_extra_args(false));
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

namespace {

bool threads_were_given = false;

}  // namespace

bool threads_given() { return threads_were_given; }

Argument add_threads(CLI::App& app) {
  const auto set = [](const std::string& s) {
    constexpr std::int64_t most = 4096;
    const std::int64_t threads = parse_integer("--threads", s);
    if (threads < 1 || threads > most) {
      throw UsageError(fmt::format("--threads: expected 1 to {}, got {}", most, threads));
    }
    set_thread_count(static_cast<int>(threads));
    threads_were_given = true;
  };
  return read_by(app, "--threads", set,
                 "threads to compute with (default: the cores this process may use)", "N");
}

void add_field_flag(CLI::App& app, const Field& field, const std::string& help,
                    const std::string& group, const SetField& set) {
  const FieldSpec& spec = field.spec;
  const auto flag_place = [](const std::string& flag) {
    return FieldPlace{.where = flag, .origin = FieldPlace::Origin::flag};
  };
  if (field.yes_no) {
    for (const auto& [flag, text, value] :
         {std::tuple{spec.flag, help, true}, std::tuple{spec.off_flag, spec.off_help, false}}) {
      if (flag.empty()) continue;
      app.add_flag_callback(
             flag, [set, &field, place = flag_place(flag), yes = value] { set(field, yes, place); },
             wrapped(text))
          ->group(group);
    }
    return;
  }
  if (spec.flag.empty()) return;
  const FieldPlace place = flag_place(spec.flag);
  if (spec.many_values) {
    const auto all = [set, &field, place](const std::vector<std::string>& given) {
      Value::List list;
      for (const std::string& value : given) list.emplace_back(value);
      set(field, list, place);
    };
    app.add_option_function<std::vector<std::string>>(spec.flag, all, wrapped(help))
        ->group(group)
        ->type_name(spec.value);
    return;
  }
  const auto one = [set, &field, place](const std::string& text) {
    set(field, field.from_text(text), place);
  };
  typed(app.add_option_function<std::string>(spec.flag, one, wrapped(help)), spec.value)
      ->group(group);
}

void add_field_flags(CLI::App& app, const FieldTable& table, const SetField& set) {
  for (const Field& field : table.fields()) {
    add_field_flag(app, field, field.spec.help, field.spec.group, set);
  }
}

}  // namespace sluice::cli
