// sluice compare: variants of a model on a text, with error bars.

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "commands.hpp"
#include "comparison_display.hpp"
#include "options.hpp"
#include "output.hpp"
#include "ranks.hpp"
#include "run_directory.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/numbers.hpp"
#include "sluice/lab/compare/compare.hpp"
#include "sluice/lab/compare/results.hpp"
#include "sluice/lab/lab_directory.hpp"
#include "sluice/lab/report/report.hpp"
#include "stop_signals.hpp"
#include "train_flags.hpp"

namespace sluice::cli {
namespace {

/// What the command line said.
struct CompareFlags {
  GivenFlags given;
  std::vector<std::string> vary;
  std::string match = "parameters";
  std::string budget;
  std::string rates = "auto";
  std::int64_t seeds = 3;
  RateSearch search;
  std::int64_t jobs = 0;
};

std::vector<double> parse_rates(const std::string& text) {
  std::vector<double> rates;
  if (text == "auto") return rates;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    rates.push_back(parse_number("--lr-grid", part));
  }
  if (rates.empty()) throw UsageError("--lr-grid: expected auto or A,B,..");
  return rates;
}

CompareSpec spec_from(const CompareFlags& flags) {
  CompareSpec spec;
  Notes nothing_left_out;
  spec.base = flags.given.over(Settings{}, nothing_left_out);
  if (!flags.budget.empty()) {
    spec.base.training.set("minutes", parse_minutes("--budget", flags.budget),
                           {.where = "--budget", .origin = FieldPlace::Origin::flag});
  }
  if (spec.base.data.values.train.empty()) {
    throw UsageError("--data is missing: the text to train on");
  }
  if (spec.base.out.empty()) throw UsageError("--out is missing: the directory to write to");
  for (const std::string& text : flags.vary) spec.vary.push_back(parse_variation(text));
  spec.match = parse_enum<MatchBy>(flags.match);
  spec.rates = parse_rates(flags.rates);
  spec.seeds = flags.seeds;
  spec.search = flags.search;
  spec.jobs = flags.jobs;
  return spec;
}

class CompareCommand {
 public:
  /// The exit status.
  int run(const CompareFlags& flags);

 private:
  void announce(const Comparison& comparison);

  ComparisonDisplay display_{true};
};

void CompareCommand::announce(const Comparison& comparison) {
  const CorpusInfo& info = comparison.text().train.info();
  if (!comparison.notes().empty()) {
    display_.say(fmt::format("chosen: {}", fmt::join(comparison.notes(), "; ")));
  }
  display_.say(fmt::format("text: {} tokens, {} to validate on, a vocabulary of {}",
                           grouped(info.tokens), grouped(comparison.text().valid->size()),
                           grouped(comparison.text().tokenizer->size())));
  for (const PlannedVariant& variant : comparison.variants()) {
    display_.say(fmt::format("{}: {}; {} parameters", variant.variant.name,
                             widths_string(variant.match.model), grouped(variant.parameters)));
  }
  display_.say(
      fmt::format("{} runs or more: {} variants, each with its learning rates, and {} seeds; {} at "
                  "a time with {} thread{} each",
                  comparison.runs().size(), comparison.variants().size(), comparison.spec().seeds,
                  comparison.jobs(), comparison.threads(), comparison.threads() == 1 ? "" : "s"));
}

int CompareCommand::run(const CompareFlags& flags) {
  CompareSpec spec = spec_from(flags);
  const std::filesystem::path out = spec.base.out;
  const StopSignals signals;
  // The comparison continues when the reader of the output goes away.
  std::signal(SIGPIPE, SIG_IGN);
  Communicator& group = ranks({.stop = &StopSignals::received()});
  if (spec.jobs == 0) spec.jobs = jobs_of_process(spec.base.threads);
  SharedRunDirectory directory(out, Existing::resume);
  try {
    // The first process prepares the text, and the others find it prepared.
    if (!group.leads()) group.barrier();
    Comparison comparison(std::move(spec), out,
                          has_voice() ? display_.callbacks() : CompareCallbacks{},
                          &StopSignals::received());
    if (!group.leads()) {
      comparison.check_same(group);
      display_.show(comparison);
      return comparison.run(&group) ? 0 : 128 + std::max(StopSignals::received().load(), 1);
    }
    group.barrier();
    comparison.check_same(group);
    display_.show(comparison);
    announce(comparison);
    (*directory).keep();
    if (!comparison.run(&group)) {
      display_.say(
          fmt::format("interrupted; the runs so far are kept in {}, and the same command continues",
                      out.string()));
      return 128 + StopSignals::received();
    }
    const Results results = results_of(comparison);
    write_results(out, results);
    display_.say("\n" + format_results(results) +
                 fmt::format("results: {}", LabDirectory(out).results_file().string()));
    write_report(out);
    display_.say(fmt::format("report: {}", LabDirectory(out).report_file().string()));
    return 0;
  } catch (const Interrupted& interrupted) {
    tell("sluice compare: interrupted before training began\n");
    group.abort(128 + interrupted.signal);  // the others wait for this one
    return 128 + interrupted.signal;
  }
}

void add_compare_flags(CLI::App& app, CompareFlags& flags) {
  const std::string group = "Comparison";
  add_texts(app, "--vary", flags.vary,
            "what to compare: a field of the model or the training and the values it takes, like "
            "unit=tanh,glu; given more than once: every combination",
            "FIELD=A,B,..")
      .group(group);
  add_text(app, "--match", flags.match,
           "parameters, flops (per token) or width: what is made equal to the first variant's, "
           "within 1%, by scaling widths; width: nothing is (default parameters)",
           "NAME")
      .group(group);
  add_text(app, "--budget", flags.budget, "time for each run, like 90s, 5m or 1h; or see --tokens",
           "TIME")
      .group(group);
  add_integer(app, "--seeds", flags.seeds, "seeds of each variant, from --seed on (default 3)")
      .group(group);
  add_text(app, "--lr-grid", flags.rates,
           "learning rates that each variant chooses from, A,B,.., or auto: three around --lr, and "
           "more while the best is at an end (default auto)",
           "RATES")
      .group(group);
  add_integer(app, "--lr-pilots", flags.search.pilots,
              "seeds before the others that choose the learning rate: grids grow until the best is "
              "inside, and are refined; only that rate gets the other seeds (default 0: all rates "
              "get all seeds)")
      .group(group);
  add_integer(app, "--lr-refine", flags.search.refine,
              "with --lr-pilots: rates to add between others by golden-section search (default 2)")
      .group(group);
  add_integer(app, "--jobs", flags.jobs,
              "runs at the same time; does not change results, but those of a --budget in time "
              "(default: the cores divided by --threads)")
      .group(group);
  add_settings_flags(app, flags.given);
  argument(app, "--threads").describe("threads of each run (default 1)");
  argument(app, "--validate-every")
      .describe("steps between validations; 0: at the end of each epoch (default: ten in a run)");
  argument(app, "--log-every")
      .describe("steps per line of metrics.jsonl (default: 200 lines in a run, at most 50 steps)");
  add_out_flag(app, flags.given, "DIR",
               "directory to write to; runs that are there already are not trained again");
}

}  // namespace

void add_compare(CLI::App& program, int& status) {
  auto flags = std::make_shared<CompareFlags>();
  CLI::App& app = add_command(program, "compare", "Compare variants of a model, with error bars");
  add_footer(app, "",
             {"sluice compare --data text.txt --vary unit=tanh,glu --tokens 2e6 --out units"});
  add_compare_flags(app, *flags);
  when_chosen(app, [flags, &status] { status = CompareCommand().run(*flags); });
}

}  // namespace sluice::cli
