// sluice train: from texts to a model directory.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "commands.hpp"
#include "options.hpp"
#include "output.hpp"
#include "run_directory.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/numbers.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/models/memory.hpp"
#include "sluice/models/model_directory.hpp"
#include "sluice/text/batches.hpp"
#include "sluice/text/holdout.hpp"
#include "sluice/training/defaults.hpp"
#include "sluice/training/profile_report.hpp"
#include "sluice/training/settings.hpp"
#include "sluice/training/trainer.hpp"
#include "stop_signals.hpp"
#include "train_flags.hpp"

namespace sluice::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class TrainRun {
 public:
  TrainRun(Settings settings, RunDirectory& directory, const TrainFlags& flags)
      : settings_(std::move(settings)),
        directory_(directory),
        resume_(flags.resume),
        profile_steps_(flags.profile) {}

  /// The exit status.
  int run();

 private:
  void prepare_text();
  void prepare_model();
  void announce() const;
  TrainCallbacks callbacks();
  void show_profile(const StepProfile& profile);
  void begun();
  int finish(const TrainResult& result);
  Progress show_progress();
  void say(const std::string& line);

  Settings settings_;
  RunDirectory& directory_;
  bool resume_;
  std::int64_t profile_steps_;
  bool profiled_ = false;
  bool begun_ = false;
  Notes notes_;
  ProgressDisplay display_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::optional<TokenShards> train_;
  std::optional<TokenShards> valid_;
  ModelConfig model_;
  TrainConfig training_;
};

/// A line of standard output, the live line out of its way.
void TrainRun::say(const std::string& line) {
  display_.clear();
  print(line + "\n");
  flush_output();
}

Progress TrainRun::show_progress() {
  return [this](double fraction, std::string_view what) {
    if (const int signal = StopSignals::received()) throw Interrupted{signal};
    display_.update(fraction, what);
  };
}

void TrainRun::prepare_text() {
  const std::vector<fs::path> files = expand_inputs(settings_.train_files);
  const TextFacts facts = inspect_text(files);
  const TokenizerOptions options = choose_tokenizer(settings_.tokenizer, facts, notes_);
  HeldOut parts{files, {}};
  if (!settings_.valid_files.empty()) {
    parts.valid = expand_inputs(settings_.valid_files);
  } else if (settings_.valid_fraction > 0) {
    parts = hold_out(files, settings_.valid_fraction, options.kind != "byte", directory_.cache());
    notes_.push_back(fmt::format("the last {:g}% of the text held out for validation",
                                 100 * settings_.valid_fraction));
  }
  tokenizer_ = resume_ ? load_tokenizer(directory_.path())
                       : train_tokenizer(options, parts.train, show_progress());
  settings_.tokenizer = {
      {"kind", options.kind}, {"vocabulary", options.vocabulary}, {"min_count", options.min_count}};
  train_ = tokenize_corpus(parts.train, *tokenizer_, directory_.cache(), show_progress());
  if (!parts.valid.empty()) {
    valid_ = tokenize_corpus(parts.valid, *tokenizer_, directory_.cache(), show_progress());
  }
}

void TrainRun::prepare_model() {
  model_ = choose_model(settings_.model, train_->size(), tokenizer_->size(), notes_);
  training_ = choose_training(settings_.training, train_->size(), notes_);
  settings_.model = model_;
  settings_.training = training_;
  const bool adaptive = training_.optimizer.kind == OptimizerKind::adam ||
                        training_.optimizer.kind == OptimizerKind::adamw;
  check_conv_path(model_, training_.conv);
  check_training_memory(model_, training_.batch, training_.context, adaptive ? 2 : 1,
                        training_.recompute);
  // A corpus shorter than one step is refused before anything is written.
  const BatchStream fits(*train_, training_.batch, training_.context);
}

void TrainRun::announce() const {
  std::string text;
  if (!notes_.empty()) text += fmt::format("chosen: {}\n", fmt::join(notes_, "; "));
  const CorpusInfo& info = train_->info();
  text += fmt::format("text: {} tokens in {} lines, {} not in the vocabulary of {}",
                      grouped(info.tokens), grouped(info.lines), grouped(info.oov),
                      grouped(tokenizer_->size()));
  if (valid_) text += fmt::format("; {} tokens to validate on", grouped(valid_->size()));
  text += fmt::format("\nmodel: {} layers of {}, {} parameters, {} threads\n", model_.layers.size(),
                      model_.unit, grouped(model_.parameter_count()), thread_count());
  print(text);
  flush_output();
}

/// Called when the run has something to resume from: from here on it leaves a directory behind.
void TrainRun::begun() {
  if (begun_) return;
  begun_ = true;
  directory_.keep();
  if (resume_) write_file(directory_.path() / "config.json", settings_.text());
}

TrainCallbacks TrainRun::callbacks() {
  TrainCallbacks callbacks;
  callbacks.checkpointed = [this](std::int64_t) { begun(); };
  callbacks.stepped = [this](const TrainProgress& p) {
    begun();
    const std::string steps = p.total_steps > 0
                                  ? fmt::format("{}/{}", grouped(p.step), grouped(p.total_steps))
                                  : grouped(p.step);
    display_.update(
        p.fraction,
        fmt::format("step {}  loss {:.3f}  perplexity {:.1f}  {} tokens/s  ETA {}", steps,
                    p.smoothed_loss, p.perplexity,
                    grouped(static_cast<std::int64_t>(p.tokens_per_second)), duration(p.eta)));
  };
  callbacks.validating = [this](double fraction) { display_.update(fraction, "validating"); };
  callbacks.validated = [this](const ValidationReport& v) {
    say(fmt::format("step {} (epoch {}): validation loss {:.4f}, perplexity {:.2f}{}",
                    grouped(v.step), v.epoch, v.loss, v.perplexity,
                    v.best ? ", the best so far" : ""));
  };
  callbacks.profiled = [this](const StepProfile& profile) { show_profile(profile); };
  return callbacks;
}

void TrainRun::show_profile(const StepProfile& profile) {
  profiled_ = true;
  display_.update(0, "measuring what the machine can do");
  say("\n" + format_profile(profile, measure_ceilings(profile.precision)) +
      fmt::format("\ntrace of a step: {} (open it in chrome://tracing or ui.perfetto.dev)\n",
                  (directory_.path() / "trace.json").string()));
}

int TrainRun::finish(const TrainResult& result) {
  if (profile_steps_ > 0 && !profiled_) {
    say(fmt::format("no profile: the training ended within its first {} steps, which warm up",
                    profile_warmup_steps));
  }
  const std::string where = directory_.path().string();
  if (result.status == TrainStatus::interrupted) {
    say(fmt::format("interrupted after step {}; saved in {}, to be continued with --resume",
                    grouped(result.step), where));
    return 128 + result.stop;
  }
  std::string line = result.status == TrainStatus::stopped_early
                         ? "stopped early, without improvement for a while"
                         : "finished";
  line += fmt::format(": {} steps, {} tokens in {}", grouped(result.step), grouped(result.tokens),
                      duration(result.elapsed));
  if (valid_) {
    line += fmt::format("; best validation perplexity {:.2f} at step {}",
                        std::exp(result.best_loss), grouped(result.best_step));
  }
  say(line + "; saved in " + where);
  return 0;
}

int TrainRun::run() {
  prepare_text();
  prepare_model();
  display_.clear();
  announce();
  if (!resume_) {
    directory_.remove_old_run();
    tokenizer_->save(directory_.path());
    write_file(directory_.path() / "config.json", settings_.text());
  }
  const auto model = make_model(model_, training_.seed);
  TrainOptions options;
  options.resume = resume_;
  options.fingerprint = {{"tokenizer", std::to_string(tokenizer_->fingerprint())}};
  options.callbacks = callbacks();
  options.stop = &StopSignals::received();
  options.profile_steps = profile_steps_;
  return finish(
      train(*model, *train_, valid_ ? &*valid_ : nullptr, training_, directory_.path(), options));
}

int train_command(const TrainFlags& flags) {
  const Existing existing = flags.resume      ? Existing::resume
                            : flags.overwrite ? Existing::overwrite
                                              : Existing::refuse;
  Settings settings = settings_from(flags);
  // What can be refused without reading the text comes first.
  check_model_request(settings.model);
  Notes ignored;
  choose_training(settings.training, std::int64_t{1} << 30, ignored);
  if (settings.threads > 0) set_thread_count(static_cast<int>(settings.threads));
  settings.threads = thread_count();

  const StopSignals signals;
  // A reader of the output that goes away does not end the training.
  std::signal(SIGPIPE, SIG_IGN);
  RunDirectory directory(settings.out, existing);
  TrainRun run(std::move(settings), directory, flags);
  try {
    return run.run();
  } catch (const Interrupted& interrupted) {
    fmt::print(stderr, "sluice train: interrupted before training began\n");
    return 128 + interrupted.signal;
  }
}

}  // namespace

void add_train(CLI::App& program, int& status) {
  auto flags = std::make_shared<TrainFlags>();
  CLI::App* app = program.add_subcommand("train", "Train a model on texts");
  add_train_flags(*app, *flags);
  app->callback([flags, &status] { status = train_command(*flags); });
}

}  // namespace sluice::cli
