#include "sluice/training/trainer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "budget.hpp"
#include "checkpointer.hpp"
#include "divergence.hpp"
#include "loop.hpp"
#include "metrics_log.hpp"
#include "rank_exchange.hpp"
#include "rank_group.hpp"
#include "run_clock.hpp"
#include "run_facts.hpp"
#include "run_figures.hpp"
#include "run_parts.hpp"
#include "saved_weights.hpp"
#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/version.hpp"
#include "sluice/models/model_directory.hpp"
#include "validator.hpp"

namespace sluice {
namespace {

void check_vocabulary(const LanguageModel& model, const TokenShards& tokens,
                      std::string_view what) {
  if (tokens.vocabulary() != model.config().vocabulary) {
    throw Error(
        fmt::format("train: the {} data has a vocabulary of {} tokens, the model one of {}; "
                    "tokenise the text with the model's tokenizer",
                    what, tokens.vocabulary(), model.config().vocabulary));
  }
}

/// A run's parts put together: when each of them has its turn.
class Run {
 public:
  Run(LanguageModel& model, const TokenShards& train, const TokenShards* valid,
      const TrainConfig& config, const std::filesystem::path& directory,
      const TrainOptions& options)
      : model_(model),
        config_(config),
        options_(options),
        ranks_(options.ranks),
        weights_(ModelDirectory(directory), model, state_),
        exchange_(exchange_of(ranks_, config)),
        loop_(model, train, config, exchange_.get(), shard_of(ranks_, config)),
        budget_(config, loop_.steps_per_epoch(), loop_.tokens_per_step()),
        figures_(state_, loop_, budget_, model.config().vocabulary),
        schedule_(config.schedule),
        profiler_(options.profile_steps),
        parts_(model, loop_, exchange_.get(), state_, config, ranks_),
        checkpointer_(weights_.files().checkpoint_file(),
                      fingerprint_of(model, train, valid, config, options.fingerprint),
                      parts_.all()),
        clock_(ranks_, options.stop) {
    if (valid != nullptr) validator_.emplace(model, *valid, config, ranks_);
  }

  TrainResult run() {
    TrainResult out;
    try {
      if (ranks_.several()) check_ranks();
      if (options_.resume) {
        resume();
      } else {
        start_anew();
      }
      out = loop();
    } catch (const NotFinite& found) {
      diverged(found, state_.step);
    }
    report_profile();  // of a run that ended before all steps were profiled
    return out;
  }

 private:
  /// All processes must be about to do the same.
  void check_ranks() const {
    Fingerprint facts = checkpointer_.fingerprint();
    facts["version"] = library_version();
    facts["configuration"] = json_text(write_fields(field_parts(config_)));
    facts["kind of start"] = options_.resume ? "resumed" : "new";
    facts["weights"] = parameters_checksum(model_.parameters());
    ranks_.check_same(facts);
    if (const std::string other = ranks_.other_processor(); !other.empty()) note(other);
  }

  void start_anew() {
    // A first checkpoint at once: it replaces that of any earlier run, shows whether there is room
    // for it, and a run can be resumed from its first moment on.
    state_.configuration = options_.configuration;
    save();
    if (!ranks_.leads()) return;
    metrics_.emplace(weights_.files().metrics_file());
    weights_.remove();
  }

  void resume() {
    checkpointer_.load();
    schedule_.set_decay(state_.decay);
    saved_step_ = state_.step;
    clock_.add(state_.elapsed);
    rate_ = state_.rate;
    if (ranks_.leads()) resume_files();
    const TrainState::Validated validated = ranks_.from_leader(state_.validated());
    state_.take(validated);
    clock_.agree();
    if (budget_used()) return;
    const std::string jump = figures_.rate_jump(schedule_.rate(state_.step, fraction()));
    if (!jump.empty()) note(jump);
  }

  /// What only the process that writes them has to look after.
  void resume_files() {
    if (const std::string lost = weights_.recover(validator_.has_value()); !lost.empty()) {
      note(lost);
    }
    metrics_.emplace(weights_.files().metrics_file(),
                     MetricsLog::Kept{state_.step, state_.validated_step == state_.step});
    for (const std::string& fault : metrics_->faults()) {
      note(fmt::format("{}; the line is dropped", fault));
    }
    if (!state_.configuration.empty() && state_.configuration != options_.found_configuration) {
      note(fmt::format("'{}' is not what it was when the run was saved; what it says now counts",
                       weights_.files().config_file().string()));
    }
    state_.configuration = options_.configuration;
  }

  TrainResult loop() {
    while (true) {
      clock_.agree();
      const bool done = budget_used();
      if (clock_.stop_requested()) return interrupted();
      if (done && !loop_.settled()) {
        loop_.settle();
        saved_step_ = -1;
      }
      if (validator_ && state_.validated_step != state_.step && (done || validation_step()) &&
          !validate()) {
        return interrupted();
      }
      const bool early = config_.patience > 0 && state_.without_improvement >= config_.patience;
      if (saved_step_ != state_.step && (done || early || checkpoint_due())) save();
      if (early) return result(TrainStatus::stopped_early);
      if (done) return result(TrainStatus::finished);
      step();
      if (profiler_.done()) report_profile();
    }
  }

  double fraction() const { return budget_.fraction(state_.step, clock_.counted()); }
  bool budget_used() const { return budget_.used(state_.step, clock_.counted()); }

  void begin() {
    if (!std::exchange(begun_, true) && options_.callbacks.begun) options_.callbacks.begun();
  }

  void note(const std::string& text) const {
    if (options_.callbacks.note) options_.callbacks.note(text);
  }

  bool validation_step() const {
    const std::int64_t every =
        config_.validate_every > 0 ? config_.validate_every : loop_.steps_per_epoch();
    if (state_.step == 0 || !loop_.settled()) return false;
    // Where workers are synchronised now and then: whether that step was one of those since.
    const std::int64_t before = state_.step - std::max<std::int64_t>(config_.sync_every, 1);
    return state_.step / every != std::max<std::int64_t>(before, 0) / every;
  }

  bool checkpoint_due() const {
    if (config_.checkpoint_every > 0) return state_.step % config_.checkpoint_every == 0;
    return clock_.checkpoint_due();
  }

  Loop::Update learn() {
    const StepProfiler::Step profiled(profiler_);
    try {
      return loop_.step(state_.step, rate_, options_.callbacks.read);
    } catch (const NotFinite& found) {
      diverged(found, state_.step + 1);
    }
  }

  void step() {
    const auto started = std::chrono::steady_clock::now();
    rate_ = schedule_.rate(state_.step, fraction());
    const Loop::Update update = learn();
    figures_.take(update, seconds_since(started));
    if (state_.step % config_.log_every == 0) {
      const TrainLine line = figures_.line(update, clock_.elapsed());
      if (metrics_) metrics_->append(line);
    }
    begin();
    if (options_.callbacks.stepped) {
      options_.callbacks.stepped(figures_.progress(update, fraction(), clock_.elapsed()));
    }
  }

  /// Writes the trace and hands the profile on, once, when there is one.
  void report_profile() {
    if (profile_reported_ || profiler_.profiled() == 0) return;
    profile_reported_ = true;
    const StepProfile profile = profiler_.profile(loop_.tokens_per_step(), config_.precision);
    write_chrome_trace(weights_.files().trace_file());
    if (options_.callbacks.profiled) options_.callbacks.profiled(profile);
  }

  /// Throws the error that says what is not finite and what is left.
  [[noreturn]] void diverged(const NotFinite& found, std::int64_t step) const {
    throw_diverged(found, model_.parameters(),
                   {.step = step,
                    .rate = rate_,
                    .clip = config_.clip,
                    .saved_step = saved_step_,
                    .checkpoint = checkpointer_.file()});
  }

  /// False when a stop request cut it short; it then has no effect.
  bool validate() {
    const auto found = validator_->validate([&](double done) {
      if (clock_.stop() != 0) return false;
      if (options_.callbacks.validating) options_.callbacks.validating(done);
      return true;
    });
    if (!found) {
      clock_.agree();
      return false;
    }
    const bool best = judge(state_, loss_of(*found));
    schedule_.validated(best);
    const ValidationReport report = figures_.report(*found, best);
    if (metrics_) metrics_->append(RunFigures::line(report, clock_.elapsed()));
    save(best);
    if (options_.callbacks.validated) options_.callbacks.validated(report);
    return true;
  }

  /// Saves the checkpoint, and the model's weights when they are the best; without validation
  /// always.
  void save(bool best = false) {
    check_weights(model_.parameters());
    // Processors that compute differently would drift apart in silence.
    if (ranks_.several()) {
      ranks_.check_same({{"weights", parameters_checksum(model_.parameters())}});
    }
    if (ranks_.leads()) {
      write(best);
    } else {
      parts_.send();
    }
    saved_step_ = state_.step;
    clock_.saved();
    begin();
    if (options_.callbacks.checkpointed) options_.callbacks.checkpointed(state_.step);
  }

  void write(bool best) {
    std::optional<PendingSafetensors> weights;
    if (best || (!validator_ && state_.step > 0)) weights = weights_.prepare();
    if (metrics_) metrics_->sync();
    state_.elapsed = clock_.elapsed();
    state_.decay = schedule_.decay();
    state_.rate = rate_;
    state_.next_rate = schedule_.rate(state_.step, budget_.fraction(state_.step, state_.elapsed));
    checkpointer_.save();
    if (weights) weights->commit();
  }

  TrainResult interrupted() {
    if (saved_step_ != state_.step) save();
    // Before the first validation there are no best weights: what was learnt is usable all the
    // same.
    if (ranks_.leads() && state_.step > 0 && state_.best_step == 0 && validator_) weights_.save();
    TrainResult out = result(TrainStatus::interrupted);
    out.stop = clock_.stop();
    return out;
  }

  /// What is said to be saved is read first.
  TrainResult result(TrainStatus status) const {
    if (ranks_.leads() && state_.step > 0) weights_.verify(checkpointer_.file());
    return figures_.result(status, clock_.elapsed());
  }

  LanguageModel& model_;
  const TrainConfig& config_;
  const TrainOptions& options_;
  const RankGroup ranks_;
  TrainState state_;
  SavedWeights weights_;
  /// Null: this process learns alone.
  const std::unique_ptr<RankExchange> exchange_;
  Loop loop_;
  const Budget budget_;
  RunFigures figures_;
  Schedule schedule_;
  std::optional<Validator> validator_;
  StepProfiler profiler_;
  bool profile_reported_ = false;
  RunParts parts_;
  Checkpointer checkpointer_;
  std::optional<MetricsLog> metrics_;
  RunClock clock_;

  std::int64_t saved_step_ = -1;
  bool begun_ = false;
  /// Of the last step.
  double rate_ = 0;
};

}  // namespace

TrainResult train(LanguageModel& model, const TokenShards& train, const TokenShards* valid,
                  const TrainConfig& config, const std::filesystem::path& directory,
                  const TrainOptions& options) {
  config.validate();
  if (options.ranks != nullptr && options.ranks->size() > config.accumulate) {
    throw UsageError(fmt::format(
        "train: {} processes cannot share the {} micro-batch{} of a step; start as many at most, "
        "or begin a run with a larger accumulate",
        options.ranks->size(), config.accumulate, config.accumulate == 1 ? "" : "es"));
  }
  check_vocabulary(model, train, "training");
  if (valid != nullptr) check_vocabulary(model, *valid, "validation");
  return Run(model, train, valid, config, directory, options).run();
}

}  // namespace sluice
