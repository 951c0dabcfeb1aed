// sluice train: from texts to a model directory.

#include <fmt/format.h>

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "commands.hpp"
#include "options.hpp"
#include "output.hpp"
#include "ranks.hpp"
#include "run_directory.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/numbers.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/models/model_directory.hpp"
#include "sluice/text/batches.hpp"
#include "sluice/training/defaults.hpp"
#include "sluice/training/plan.hpp"
#include "sluice/training/prepare.hpp"
#include "sluice/training/profile_report.hpp"
#include "sluice/training/run.hpp"
#include "sluice/training/settings.hpp"
#include "sluice/training/trainer.hpp"
#include "stop_signals.hpp"
#include "train_flags.hpp"

namespace sluice::cli {
namespace {

namespace fs = std::filesystem;

class TrainRun {
 public:
  TrainRun(Settings settings, RunDirectory& directory, const TrainFlags& flags, Notes notes)
      : ranks_(ranks()),
        settings_(std::move(settings)),
        directory_(directory),
        resume_(flags.resume),
        profile_steps_(flags.profile),
        notes_(std::move(notes)) {}

  /// The exit status.
  int run();

 private:
  void prepare();
  void prepare_text_of_all();
  void announce() const;
  TrainCallbacks callbacks();
  void show_profile(const StepProfile& profile);
  int finish(const TrainResult& result);
  Error wrecked(const TrainResult& result) const;

  Communicator& ranks_;
  Settings settings_;
  RunDirectory& directory_;
  bool resume_;
  std::int64_t profile_steps_;
  bool profiled_ = false;
  Notes notes_;
  ProgressDisplay display_;
  std::optional<PreparedText> text_;
  std::optional<TrainPlan> plan_;
};

/// All processes make the tokenizer and the tokens together.
void TrainRun::prepare_text_of_all() {
  std::unique_ptr<Tokenizer> tokenizer;
  if (resume_) tokenizer = directory_.files().tokenizer();
  const Progress silent = [](double, std::string_view) {
    if (const int signal = StopSignals::received()) throw Interrupted{signal};
  };
  text_.emplace(prepare_text(settings_, directory_.files().cache(), notes_,
                             has_voice() ? until_interrupted(display_) : silent,
                             std::move(tokenizer), &shared_work()));
}

void TrainRun::prepare() {
  prepare_text_of_all();
  plan_ = plan_run(settings_, *text_, notes_);
}

void TrainRun::announce() const {
  std::string text;
  if (!notes_.empty()) text += fmt::format("chosen: {}\n", fmt::join(notes_, "; "));
  const CorpusInfo& info = text_->train.info();
  text += fmt::format("text: {} in {}, {} not in the vocabulary of {}",
                      counted(info.tokens, "token"), counted(info.lines, "line"), grouped(info.oov),
                      grouped(text_->tokenizer->size()));
  if (const DocumentEnds* const documents = text_->train.documents()) {
    const BatchStream chunks(text_->train, plan_->training.streams(), plan_->training.context);
    text += fmt::format("; {}, {:.0f}% of each step is padding behind them",
                        counted(documents->count(), "document"), 100 * chunks.padding());
  }
  if (text_->valid)
    text += fmt::format("; {} tokens to validate on", grouped(text_->valid->size()));
  const std::string processes = ranks_.alone()
                                    ? ""
                                    : fmt::format("{} processes for {} micro-batches, each with ",
                                                  ranks_.size(), plan_->training.accumulate);
  text += fmt::format("\nmodel: {}, {} parameters, {}{}\n", plan_->model.summary(),
                      grouped(plan_->model.parameter_count()), processes,
                      counted(thread_count(), "thread"));
  print(text);
  flush_output();
}

TrainCallbacks TrainRun::callbacks() {
  TrainCallbacks callbacks;
  // From then on the run leaves a directory behind.
  callbacks.begun = [this] { directory_.keep(); };
  callbacks.note = [this](const std::string& text) { display_.say(text); };
  callbacks.stepped = [this](const TrainProgress& p) {
    const std::string steps = p.total_steps > 0
                                  ? fmt::format("{}/{}", grouped(p.step), grouped(p.total_steps))
                                  : grouped(p.step);
    display_.update(
        p.fraction,
        fmt::format(
            "step {}  ETA {}  loss {:.3f}  perplexity {:.1f}  {} tokens/s  gradient {:.2g}{}",
            steps, clock_time(p.eta), p.smoothed_loss, p.perplexity,
            grouped(static_cast<std::int64_t>(p.tokens_per_second)), p.gradient_norm,
            p.clipped >= 0.005 ? fmt::format(" ({:.0f}% clipped)", 100 * p.clipped) : ""));
  };
  callbacks.validating = [this](double fraction) { display_.update(fraction, "validating"); };
  callbacks.validated = [this](const ValidationReport& v) {
    const std::string old =
        std::isnan(v.old_loss)
            ? ""
            : fmt::format("; of the old text, perplexity {:.2f}", std::exp(v.old_loss));
    display_.say(fmt::format("step {} (epoch {}): validation loss {:.4f}, perplexity {:.2f}{}{}",
                             grouped(v.step), v.epoch, v.loss, v.perplexity,
                             validation_standing(v.loss, v.uniform_loss, v.best), old));
  };
  callbacks.profiled = [this](const StepProfile& profile) { show_profile(profile); };
  return callbacks;
}

void TrainRun::show_profile(const StepProfile& profile) {
  profiled_ = true;
  display_.update(0, "measuring what the machine can do");
  display_.say(
      "\n" + format_profile(profile, measure_ceilings(profile.precision)) +
      fmt::format("\ntrace of a step: {} (open it in chrome://tracing or ui.perfetto.dev)\n",
                  directory_.files().trace_file().string()));
}

/// What to say of a training that ended knowing less than nothing.
Error TrainRun::wrecked(const TrainResult& result) const {
  return Error(fmt::format(
      "the training has failed: after {} steps its {} loss is {:.4g} nats per token, above ln V = "
      "{:.4g}, that of knowing nothing of {} tokens; what was saved is kept in '{}'; try a lower "
      "--lr (it was {:g}), a lower --clip ({:g}) or --warmup",
      grouped(result.step), text_->valid ? "validation" : "training", result.final_loss(),
      result.uniform_loss, grouped(text_->tokenizer->size()), directory_.path().string(),
      plan_->training.schedule.lr, plan_->training.clip));
}

int TrainRun::finish(const TrainResult& result) {
  if (!has_voice()) {
    if (result.wrecked()) throw wrecked(result);
    return result.status == TrainStatus::interrupted ? 128 + result.stop : 0;
  }
  if (ranks_.leads() && profile_steps_ > 0 && !profiled_) {
    display_.say(
        fmt::format("no profile: the training ended within its first {} steps, which warm up",
                    profile_warmup_steps));
  }
  const std::string where = directory_.path().string();
  if (result.status == TrainStatus::interrupted) {
    display_.say(
        fmt::format("interrupted after step {}; saved in {}, to be continued with --resume",
                    grouped(result.step), where));
    return 128 + result.stop;
  }
  if (result.wrecked()) throw wrecked(result);
  std::string line = result.status == TrainStatus::stopped_early
                         ? "stopped early, without improvement for a while"
                         : "finished";
  line += fmt::format(": {}, {} in {}", counted(result.step, "step"),
                      counted(result.tokens, "token"), clock_time(result.elapsed));
  if (text_->valid) {
    line += fmt::format("; best validation perplexity {:.2f} at step {}",
                        std::exp(result.best_loss), grouped(result.best_step));
  }
  display_.say(line + "; saved in " + where);
  return 0;
}

int TrainRun::run() {
  prepare();
  display_.clear();
  TrainOptions options;
  options.resume = resume_;
  options.stop = &StopSignals::received();
  options.ranks = &ranks_;
  if (has_voice()) {
    announce();
    options.callbacks = callbacks();
  }
  if (ranks_.leads()) options.profile_steps = profile_steps_;
  return finish(train_model(*plan_, *text_, directory_.files(), options));
}

/// What several processes need that one does not.
void share_out(Settings& settings, const Communicator& ranks, bool resume) {
  if (ranks.alone()) return;
  const auto reads_input = [](const auto& files) {
    return std::find(files.begin(), files.end(), "-") != files.end();
  };
  share_standard_input(reads_input(settings.data.values.train) ||
                       reads_input(settings.data.values.valid));
  if (!resume && !settings.training.has("accumulate")) {
    settings.training.set("accumulate", Value(std::int64_t{ranks.size()}), {.where = "train"});
  }
  if (settings.threads == 0) settings.threads = threads_of_process();
}

int train_command(TrainFlags flags) {
  if (!(flags.timeout > 0)) throw UsageError("--timeout: expected seconds above 0");
  const auto say_waiting = [](const std::string& process, double seconds) {
    tell(fmt::format(
        "sluice train: {} has kept the others waiting for {:g} seconds and lives: it computes, or "
        "waits for a disk or for input\n",
        process, seconds));
  };
  Communicator& group =
      ranks({.timeout = flags.timeout, .stop = &StopSignals::received(), .waits_for = say_waiting});
  Notes notes;
  Settings settings = settings_from(flags, notes);
  if (flags.resume_if_possible) {
    const bool there = ModelDirectory(settings.out).has_checkpoint();
    if (group.gather(there).front()) {
      flags.resume = true;
      notes.clear();
      settings = settings_from(flags, notes);
    }
  }
  share_out(settings, group, flags.resume);
  const Existing existing = flags.resume      ? Existing::resume
                            : flags.overwrite ? Existing::overwrite
                                              : Existing::refuse;
  // What can be refused without reading the text comes first.
  settings.model.check();
  Notes ignored;
  choose_training(settings.training, std::int64_t{1} << 30, ignored);
  if (settings.threads > 0) set_thread_count(static_cast<int>(settings.threads));
  settings.threads = thread_count();

  const StopSignals signals;
  // A reader of the output that goes away does not end the training.
  std::signal(SIGPIPE, SIG_IGN);
  SharedRunDirectory directory(settings.out, existing);
  TrainRun run(std::move(settings), *directory, flags, std::move(notes));
  try {
    return run.run();
  } catch (const Interrupted& interrupted) {
    if (group.leads()) tell("sluice train: interrupted before training began\n");
    group.abort(128 + interrupted.signal);  // the others may wait for this one
    return 128 + interrupted.signal;
  }
}

}  // namespace

void add_train(CLI::App& program, int& status) {
  auto flags = std::make_shared<TrainFlags>();
  CLI::App& app = add_command(program, "train", "Train a model on texts");
  add_footer(
      app, "",
      {"sluice train --data text.txt --out model --minutes 10", "sluice train --out model --resume",
       "sluice train --data text.txt --out swiglu --unit swiglu --tokenizer char"});
  add_train_flags(app, *flags);
  when_chosen(app, [flags, &status] { status = train_command(*flags); });
}

}  // namespace sluice::cli
