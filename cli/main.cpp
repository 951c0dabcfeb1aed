// sluice: trains, evaluates, samples from and serves gated language models.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "commands.hpp"
#include "options.hpp"
#include "output.hpp"
#include "process.hpp"
#include "ranks.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"
#include "sluice/base/version.hpp"

namespace {

using sluice::UsageError;

constexpr int failure = 1;
constexpr int usage_failure = 2;

/// Help without CLI11's remarks on which options exclude which, which break the columns, nor empty
/// lines in a row; the usage names the options that must be given.
class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter() { column_width(sluice::cli::help_name_columns); }
  std::string make_option_opts(const CLI::Option* option) const override {
    const std::string type = option->get_type_name();
    return type.empty() ? "" : " " + type;
  }
  std::string make_usage(const CLI::App* app, std::string name) const override {
    std::string usage = CLI::Formatter::make_usage(app, std::move(name));
    const std::string optional = "[" + get_label("OPTIONS") + "]";
    const std::size_t at = usage.find(optional);
    if (at == std::string::npos) return usage;
    std::string needed;
    for (const CLI::Option* option : app->get_options(
             [](const CLI::Option* o) { return o->nonpositional() && o->get_required(); })) {
      needed += " " + option->get_name() + make_option_opts(option);
    }
    return usage.insert(at + optional.size(), needed);
  }
  std::string make_help(const CLI::App* app, std::string name,
                        CLI::AppFormatMode mode) const override {
    std::string help = CLI::Formatter::make_help(app, std::move(name), mode);
    for (std::size_t at = 0; (at = help.find("\n\n\n", at)) != std::string::npos;)
      help.erase(at, 1);
    while (help.ends_with("\n\n")) help.pop_back();
    return help;
  }
};

std::vector<std::string> command_names(const CLI::App& program) {
  std::vector<std::string> names;
  for (const CLI::App* command : program.get_subcommands({})) names.push_back(command->get_name());
  return names;
}

/// The command that the arguments begin with; null when there is none (only --help or --version).
CLI::App* chosen_command(CLI::App& program, const std::vector<std::string>& arguments) {
  const std::vector<std::string> names = command_names(program);
  if (arguments.empty()) {
    throw UsageError(
        fmt::format("expected a command: {} (see sluice --help)", fmt::join(names, ", ")));
  }
  const std::string& name = arguments.front();
  if (name.starts_with("-")) return nullptr;
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    throw UsageError(fmt::format("unknown command {}; {}", sluice::in_quotes(name),
                                 sluice::suggestion(name, names)));
  }
  return program.get_subcommand(name);
}

/// What a leftover argument of `app` should have been.
std::string unexpected(const CLI::App& app) {
  const std::vector<std::string> left = app.remaining(true);
  const auto flag = std::find_if(left.begin(), left.end(),
                                 [](const std::string& s) { return s.starts_with("-"); });
  if (flag == left.end()) {
    return fmt::format("unexpected argument {}; see {} --help", sluice::in_quotes(left.front()),
                       app.get_parent() ? "sluice " + app.get_name() : "sluice");
  }
  const std::string name = flag->substr(0, flag->find('='));
  std::vector<std::string> known;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& known_name : option->get_lnames()) known.push_back("--" + known_name);
  }
  const std::string near = sluice::nearest_names(name, known);
  return fmt::format("unknown option {}{}", sluice::in_quotes(name),
                     near.empty() ? "" : fmt::format("; did you mean {}?", near));
}

/// What is to be said when an argument of `app` that must be given was not.
std::string missing(const CLI::App& app, const CLI::ParseError& error) {
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_required() || option->count() > 0) continue;
    std::string description = option->get_description();
    std::replace(description.begin(), description.end(), '\n', ' ');
    return fmt::format("{} is missing: {}", option->get_name(), description);
  }
  return error.what();
}

/// `sluice help COMMAND` as `sluice COMMAND --help`.
std::vector<std::string> arguments_of(int argc, char** argv) {
  std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
  if (!arguments.empty() && arguments.front() == "help") {
    arguments.erase(arguments.begin());
    arguments.emplace_back("--help");
  }
  return arguments;
}

/// Says `what` in one line on standard error.
int complain(const CLI::App* command, std::string_view what, int status, bool of_another = false) {
  const std::string name = command ? command->get_name() : "";
  // The library begins with the operation, which may be the command's.
  if (command && what.starts_with(name + ": ")) what.remove_prefix(name.size() + 2);
  const auto sentence = [&](const std::string& who) {
    return fmt::format("sluice{}{}: {}{}\n", command ? " " : "", name, who, what);
  };
  sluice::cli::add_to_log(sentence(""));
  if (const auto who = sluice::cli::complainer(of_another)) {
    sluice::cli::tell_user(sentence(*who));
  }
  return sluice::cli::fail_ranks(status);
}

/// What to say of an exception that is none of the library's own.
std::string description(const std::exception& error) {
  std::string reason = sluice::reason_of(error);
  if (reason.starts_with("an internal error")) {
    reason += "; please report it with the command that led to it";
  }
  return reason;
}

int run(CLI::App& program, CLI::App* command, int& status, std::vector<std::string> arguments) {
  try {
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 takes them
    program.parse(std::move(arguments));
  } catch (const CLI::CallForHelp&) {
    sluice::cli::print(command ? command->help("sluice") : program.help());
  } catch (const CLI::CallForVersion& version) {
    sluice::cli::print(fmt::format("{}\n", version.what()));
  } catch (const CLI::ExtrasError&) {
    throw UsageError(unexpected(command ? *command : program));
  } catch (const CLI::RequiredError& error) {
    throw UsageError(missing(command ? *command : program, error));
  } catch (const CLI::ParseError& error) {
    throw UsageError(error.what());
  }
  sluice::cli::flush_output();
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  sluice::cli::prepare_process();
  CLI::App* command = nullptr;
  std::string name;
  try {
    CLI::App program("Trains, evaluates, samples from and serves gated language models.", "sluice");
    program.formatter(std::make_shared<HelpFormatter>());
    program.set_version_flag("--version", fmt::format("sluice {}", sluice::library_version()),
                             "show the version");
    program.set_help_flag("--help,-h", "show this help");
    int status = 0;
    sluice::cli::add_train(program, status);
    sluice::cli::add_plan(program, status);
    sluice::cli::add_quantize(program, status);
    sluice::cli::add_eval(program, status);
    sluice::cli::add_score(program, status);
    sluice::cli::add_rescore(program, status);
    sluice::cli::add_next(program, status);
    sluice::cli::add_mix(program, status);
    sluice::cli::add_arpa(program, status);
    sluice::cli::add_generate(program, status);
    sluice::cli::add_classify(program, status);
    sluice::cli::add_serve(program, status);
    sluice::cli::add_info(program, status);
    sluice::cli::add_units(program, status);
    sluice::cli::add_compare(program, status);
    sluice::cli::add_inspect(program, status);
    sluice::cli::add_report(program, status);
    sluice::cli::add_claims(program, status);
    sluice::cli::add_tasks(program, status);
    sluice::cli::add_import(program, status);
    sluice::cli::add_export(program, status);
    sluice::cli::add_tokenizer(program, status);
    sluice::cli::add_tokenize(program, status);
    sluice::cli::add_detokenize(program, status);
    sluice::cli::add_vocabulary(program, status);
    program.footer("sluice COMMAND --help describes a command.");
    try {
      const std::vector<std::string> arguments = arguments_of(argc, argv);
      command = chosen_command(program, arguments);
      if (command != nullptr) name = command->get_name();
      sluice::cli::tell_of_lost_files(name.c_str());
      sluice::cli::check_command_for_ranks(name);
      return sluice::cli::leave_ranks(run(program, command, status, arguments));
    } catch (const UsageError& error) {
      return complain(command, error.what(), usage_failure);
    } catch (const sluice::RankError& error) {
      return complain(command, error.what(), failure, true);
    } catch (const sluice::Error& error) {
      return complain(command, error.what(), failure);
    } catch (const std::exception& error) {
      return complain(command, description(error), failure);
    }
  } catch (const std::exception& error) {
    return complain(nullptr, description(error), failure);
  }
}
