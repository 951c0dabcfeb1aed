// sluice claims: statements about models, checked on a text.

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "commands.hpp"
#include "comparison_display.hpp"
#include "options.hpp"
#include "output.hpp"
#include "ranks.hpp"
#include "run_directory.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"
#include "sluice/base/numbers.hpp"
#include "sluice/base/value.hpp"
#include "sluice/lab/claims/claim_plan.hpp"
#include "sluice/lab/claims/claim_runs.hpp"
#include "sluice/lab/claims/measures.hpp"
#include "sluice/lab/lab_directory.hpp"
#include "sluice/lab/report/report.hpp"
#include "stop_signals.hpp"

namespace sluice::cli {
namespace {

/// What the command line said.
struct ClaimsFlags {
  std::string action;
  std::vector<std::string> names;
  bool all = false;
  bool quick = false;
  bool until_decided = false;
  bool json = false;
  std::string budget;
  std::vector<std::string> data;
  std::string out;
  std::int64_t seeds = 0;
  std::int64_t jobs = 0;
  std::int64_t threads = 0;
};

/// The object that docs/formats.md documents.
Value listed_json(const std::vector<Claim>& claims) {
  const auto listed = [](const std::set<std::int64_t>& numbers) {
    return Value::List(numbers.begin(), numbers.end());
  };
  Value::List list;
  for (const Claim& claim : claims) {
    const ClaimBudget budget = claim.budget();
    list.emplace_back(Value::Object{{"name", claim.name},
                                    {"title", claim.title},
                                    {"source", claim.source},
                                    {"design", claim.design},
                                    {"runs", budget.runs},
                                    {"at_least", budget.at_least},
                                    {"tokens", listed(budget.tokens)},
                                    {"steps", listed(budget.steps)},
                                    {"minutes", claim.minutes}});
  }
  return Value::Object{{"claims", std::move(list)}};
}

void list_claims(const ClaimsFlags& flags) {
  std::vector<Claim> claims;
  for (const std::string& name : flags.names) claims.push_back(find_claim(name, flags.quick));
  for (const auto& shipped : shipped_claims()) {
    if (flags.names.empty()) claims.push_back(find_claim(shipped.first, flags.quick));
  }
  if (flags.json) return print_json(listed_json(claims));
  for (const Claim& claim : claims) {
    print(fmt::format("{}\n  {}\n  {}\n  {}; about {:g} minute{} on two cores\n", claim.name,
                      claim.title, claim.source, claim.budget().text(), claim.minutes,
                      claim.minutes == 1 ? "" : "s"));
  }
}

void show_claims(const std::vector<std::string>& names) {
  if (names.empty()) throw UsageError("show: name the claims to show; sluice claims list has all");
  for (const std::string& name : names) print(claim_text(name));
}

/// As one word of a shell's command line.
std::string shell_word(const std::string& text) {
  constexpr std::string_view harmless = "-_./:=+,@%";
  const bool plain = !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           harmless.find(c) != std::string_view::npos;
  });
  if (plain) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

class ClaimsCommand {
 public:
  explicit ClaimsCommand(const ClaimsFlags& flags) : flags_(flags) {}
  /// The exit status.
  int run();
  int plan();

 private:
  int run_first(const std::vector<Claim>& claims, const ClaimRequest& request,
                RunDirectory& directory);
  void show_plans(const std::vector<Claim>& claims, const ClaimRequest& request, PlanTiming timing);
  std::vector<Claim> claims() const;
  ClaimRequest request() const;
  ClaimCallbacks callbacks();
  void announce(const Claim& claim, const ClaimComparison& asked, const Comparison& comparison);
  std::string command(const std::string& name) const;

  const ClaimsFlags& flags_;
  ComparisonDisplay display_{false};
  /// The claim that is run, as "2/17 glu-beats-gtu".
  std::string place_;
};

std::vector<Claim> ClaimsCommand::claims() const {
  std::vector<std::string> names = flags_.names;
  if (flags_.all) {
    for (const auto& shipped : shipped_claims()) names.push_back(shipped.first);
  }
  if (names.empty()) {
    throw UsageError(fmt::format(
        "{0}: name the claims to {0}, or give --all; sluice claims list has them", flags_.action));
  }
  std::vector<Claim> claims;
  for (auto name = names.begin(); name != names.end(); ++name) {
    if (std::find(names.begin(), name, *name) != name) continue;
    Claim claim = find_claim(*name, flags_.quick);
    const auto same = std::find_if(claims.begin(), claims.end(),
                                   [&](const Claim& other) { return other.name == claim.name; });
    if (same != claims.end()) {
      throw UsageError(fmt::format(
          "two claims are named '{}', and would write to the same directory: rename one's file",
          claim.name));
    }
    claims.push_back(std::move(claim));
  }
  return claims;
}

ClaimRequest ClaimsCommand::request() const {
  if (flags_.data.empty()) throw UsageError("--data is missing: the text to run claims on");
  if (flags_.out.empty()) throw UsageError("--out is missing: the directory to write to");
  ClaimRequest request;
  for (const std::string& file : flags_.data) {
    request.data.push_back(std::filesystem::absolute(file));
  }
  request.out = flags_.out;
  request.seeds = flags_.seeds;
  request.until_decided = flags_.until_decided;
  if (!flags_.budget.empty()) {
    if (!flags_.until_decided) throw UsageError("--budget is for --until-decided");
    request.minutes = parse_minutes("--budget", flags_.budget);
  }
  request.jobs = flags_.jobs;
  request.threads = flags_.threads;
  for (const auto& [flag, value] : {std::pair{"--seeds", flags_.seeds},
                                    {"--jobs", flags_.jobs},
                                    {"--threads", flags_.threads}}) {
    constexpr std::int64_t most = 1000;
    if (value < 0 || value > most) {
      throw UsageError(fmt::format("{}: expected 1 to {}, got {}", flag, most, value));
    }
  }
  return request;
}

std::string ClaimsCommand::command(const std::string& name) const {
  // The user's own claims are given by their files.
  std::string given = name;
  for (const std::string& other : flags_.names) {
    if (std::filesystem::path(other).stem() == name) given = other;
  }
  std::string words = "sluice claims run " + shell_word(given);
  if (flags_.quick) words += " --quick";
  if (flags_.until_decided) words += " --until-decided";
  if (!flags_.budget.empty()) words += " --budget " + shell_word(flags_.budget);
  for (const auto& [flag, value] : {std::pair{"--seeds", flags_.seeds},
                                    {"--threads", flags_.threads},
                                    {"--jobs", flags_.jobs}}) {
    if (value > 0) words += fmt::format(" {} {}", flag, value);
  }
  words += " --data";
  for (const std::string& file : flags_.data) words += " " + shell_word(file);
  return words + " --out " + shell_word(flags_.out);
}

void ClaimsCommand::announce(const Claim& claim, const ClaimComparison& asked,
                             const Comparison& comparison) {
  display_.show(comparison);
  std::string line = fmt::format("{}: {}", place_, claim.title);
  if (claim.comparisons.size() > 1) line += fmt::format(", {}", asked.name);
  const std::int64_t planned = static_cast<std::int64_t>(comparison.runs().size());
  display_.say(fmt::format("{}: {} runs{} of {} tokens", line, std::max(planned, asked.runs()),
                           asked.search.pilots > 0 ? " or more" : "", grouped(asked.tokens())));
}

ClaimCallbacks ClaimsCommand::callbacks() {
  ClaimCallbacks callbacks;
  callbacks.measuring = [this](double fraction, const std::string& what) {
    display_.update(fraction, fmt::format("measuring {}", what));
  };
  callbacks.compare = display_.callbacks();
  return callbacks;
}

void ClaimsCommand::show_plans(const std::vector<Claim>& claims, const ClaimRequest& request,
                               PlanTiming timing) {
  std::vector<ClaimPlan> plans;
  // What is to be said of a search for rates is said when it runs.
  ClaimCallbacks with = callbacks();
  with.compare.note = nullptr;
  for (const Claim& claim : claims) {
    display_.update(static_cast<double>(plans.size()) / static_cast<double>(claims.size()),
                    "planning " + claim.name);
    plans.push_back(plan_claim(claim, request, timing, with, &StopSignals::received()));
    std::string text = format_plan(plans.back(), request.until_decided);
    text.pop_back();
    display_.say(text);
  }
  std::string all = format_plans(plans, request.until_decided);
  all.pop_back();
  display_.say(all);
}

int ClaimsCommand::plan() {
  const std::vector<Claim> claims = this->claims();
  const ClaimRequest request = this->request();
  const StopSignals signals;
  RunDirectory directory(request.out, Existing::resume);
  try {
    show_plans(claims, request, PlanTiming::measured);
    directory.keep();
    return 0;
  } catch (const Interrupted& interrupted) {
    return 128 + interrupted.signal;
  } catch (const MeasuringStopped&) {
    return 128 + StopSignals::received();
  }
}

int ClaimsCommand::run() {
  const std::vector<Claim> claims = this->claims();
  ClaimRequest request = this->request();
  Communicator& group = ranks({.stop = &StopSignals::received()});
  if (!group.alone()) request.helpers = &group;
  if (request.jobs == 0) request.jobs = jobs_of_process(request.threads);
  const StopSignals signals;
  // The runs continue when the reader of the output goes away.
  std::signal(SIGPIPE, SIG_IGN);
  SharedRunDirectory directory(request.out, Existing::resume);
  if (!group.leads()) return help_claims(claims, request, &StopSignals::received());
  const int status = run_first(claims, request, *directory);
  dismiss_helpers(group, status);
  return status;
}

/// What the first process does, or the only one.
int ClaimsCommand::run_first(const std::vector<Claim>& claims, const ClaimRequest& request,
                             RunDirectory& directory) {
  check_claim_results(request, flags_.quick);
  const auto interrupted = [&] {
    display_.say(
        fmt::format("interrupted; the runs so far are kept in {}, and the same command continues",
                    request.out.string()));
    return 128 + StopSignals::received();
  };
  try {
    ClaimCallbacks with = callbacks();
    with.planned = [&](const Claim& claim, const ClaimComparison& asked,
                       const Comparison& comparison) {
      directory.keep();
      announce(claim, asked, comparison);
    };
    if (claims.size() > 1) show_plans(claims, request, PlanTiming::known);
    std::optional<ClaimResults> all;
    for (std::size_t i = 0; i < claims.size(); ++i) {
      place_ = fmt::format("{}/{} {}", i + 1, claims.size(), claims[i].name);
      display_.set_place(place_);
      auto result = run_claim(claims[i], request, with, &StopSignals::received());
      if (!result) return interrupted();
      result->command = command(claims[i].name);
      all = add_claim_result(request, flags_.quick, *result);
      display_.say("\n" + format_claim(*result));
    }
    if (all && all->claims.size() > 1) display_.say(format_summary(*all));
    display_.say(fmt::format("results: {}", LabDirectory(request.out).claims_file().string()));
    write_report(request.out);
    display_.say(fmt::format("report: {}", LabDirectory(request.out).report_file().string()));
    return 0;
  } catch (const Interrupted&) {
    return interrupted();
  } catch (const MeasuringStopped&) {
    return interrupted();
  }
}

void add_claims_flags(CLI::App& app, ClaimsFlags& flags) {
  add_text(app, "ACTION", flags.action,
           "list: all claims, where they are from and what they cost; show: their files; plan: the "
           "runs, minutes and seeds that they will take; run",
           "")
      .required();
  add_texts(app, "NAME", flags.names,
            "claims to run, plan, show or list: names, or files of your own (docs/claims.md)", "");
  const std::string group = "Run";
  add_flag(app, "--all", flags.all, "run all that the program has").group(group);
  add_flag(app, "--quick", flags.quick,
           "smaller: seconds each, the same code, less certain verdicts")
      .group(group);
  add_texts(app, "--data", flags.data,
            "UTF-8 text to run on, files or directories; its end is validated on", "PATH...")
      .group(group);
  add_text(app, "--out", flags.out,
           "directory to write to; runs that are there already are not trained again", "DIR")
      .group(group);
  add_integer(app, "--seeds", flags.seeds, "seeds of each variant (default: as each claim says)")
      .group(group);
  add_flag(
      app, "--until-decided", flags.until_decided,
      "add seeds, look by look, until every part of a claim is decided or has the most seeds it "
      "may have; intervals stay right")
      .group(group);
  add_text(
      app, "--budget", flags.budget,
      "with --until-decided: add no seeds to a claim on which this command has spent so long, like "
      "90s, 5m or 1h; runs that were there cost nothing",
      "TIME")
      .group(group);
  add_flag(app, "--json", flags.json, "list: print one JSON object instead (docs/formats.md)");
  add_integer(app, "--threads", flags.threads, "threads of each run (default 1)").group(group);
  add_integer(app, "--jobs", flags.jobs,
              "runs at the same time (default: the cores divided by --threads)")
      .group(group);
}

int run_action(const ClaimsFlags& flags) {
  if (flags.json && flags.action != "list") throw UsageError("--json is for list");
  if (flags.action == "run") return ClaimsCommand(flags).run();
  if (Communicator::launched()) {
    throw UsageError(fmt::format("{} runs in one process: start it without mpirun or srun",
                                 in_quotes(flags.action)));
  }
  if (flags.action == "plan") return ClaimsCommand(flags).plan();
  if (flags.action == "show") {
    show_claims(flags.names);
    return 0;
  }
  if (flags.action != "list") {
    throw UsageError(fmt::format("unknown action '{}'; {}", flags.action,
                                 suggestion(flags.action, {"list", "show", "plan", "run"})));
  }
  list_claims(flags);
  return 0;
}

}  // namespace

void add_claims(CLI::App& program, int& status) {
  auto flags = std::make_shared<ClaimsFlags>();
  CLI::App& app = add_command(program, "claims", "Check claims of papers on a text");
  add_footer(
      app, "",
      {"sluice claims list", "sluice claims run gates-help --quick --data text.txt --out tried"});
  add_claims_flags(app, *flags);
  when_chosen(app, [flags, &status] { status = run_action(*flags); });
}

}  // namespace sluice::cli
