#include "sluice/training/trainer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
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
#include "run_facts.hpp"
#include "run_states.hpp"
#include "saved_weights.hpp"
#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/version.hpp"
#include "sluice/models/model_directory.hpp"
#include "validator.hpp"

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;

/// Seconds between checkpoints when no number of steps is asked for.
constexpr double checkpoint_seconds = 300;
/// Weight of the past in the moving averages of the loss and of the time per step.
constexpr double loss_memory = 0.98;
constexpr double speed_memory = 0.9;
/// A learning rate that a resumed run changes by more than this part is told of. A time budget
/// alone moves it by the moments between saving and going on.
constexpr double rate_tolerance = 0.01;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

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
        schedule_(config.schedule),
        profiler_(options.profile_steps),
        checkpointer_(weights_.files().checkpoint_file(),
                      fingerprint_of(model, train, valid, config, options.fingerprint), parts()) {
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
  /// What a checkpoint holds.
  std::vector<Stateful*> parts() {
    std::vector<Stateful*> all = {&parameters_, &optimizer_, &carried_, &position_};
    shared_ = {&optimizer_, &carried_};
    if (loop_.workers() != nullptr) {
      all.push_back(&workers_.emplace(loop_, model_.parameters(), ranks_, config_.accumulate));
      shared_.push_back(&*workers_);
    }
    if (exchange_ && exchange_->wire().rounds()) {
      all.push_back(&rounding_.emplace(*exchange_, ranks_));
      shared_.push_back(&*rounding_);
    }
    return all;
  }

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
    earlier_ = state_.elapsed;
    rate_ = state_.rate;
    if (ranks_.leads()) resume_files();
    const TrainState::Validated validated = ranks_.from_leader(state_.validated());
    state_.take(validated);
    agree();
    tell_of_rate();
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

  /// Says so when the learning rate is not what it would have been had the run gone on as it was.
  void tell_of_rate() {
    const double rate = schedule_.rate(state_.step, fraction());
    if (state_.rate <= 0 || budget_used() ||
        std::abs(rate / state_.next_rate - 1) <= rate_tolerance) {
      return;
    }
    note(fmt::format(
        "the learning rate was {:.3g} when the run was saved and is {:.3g} from here on: "
        "lr, schedule and budget are those of the run that resumes, as if they had been so from "
        "the start; for no jump, resume with a constant schedule of lr {:.3g}",
        state_.rate, rate, state_.rate));
  }

  TrainResult loop() {
    while (true) {
      agree();
      const bool done = budget_used();
      if (stop_requested()) return interrupted();
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

  /// Clocks and signals count as they stand in the leading process when a step begins, so that all
  /// do the same.
  void agree() {
    if (!ranks_.several()) return;
    const int stop = options_.stop != nullptr ? options_.stop->load() : 0;
    moment_ = ranks_.agree({elapsed(), time_for_checkpoint(), stop});
  }

  double elapsed() const { return earlier_ + seconds_since(start_); }
  double counted_time() const { return ranks_.several() ? moment_.elapsed : elapsed(); }
  double fraction() const { return budget_.fraction(state_.step, counted_time()); }
  bool budget_used() const { return budget_.used(state_.step, counted_time()); }
  std::int64_t epoch_of(std::int64_t steps) const {
    return steps == 0 ? 0 : (steps - 1) / loop_.steps_per_epoch() + 1;
  }
  double smoothed_loss() const {
    return state_.smoothed_weight > 0 ? state_.smoothed_loss / state_.smoothed_weight : 0;
  }

  /// The signal that asks to stop; 0: none.
  int stop() const {
    if (ranks_.several() && moment_.stop != 0) return moment_.stop;
    return options_.stop != nullptr ? options_.stop->load() : 0;
  }
  bool stop_requested() const { return ranks_.several() ? moment_.stop != 0 : stop() != 0; }

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
    return ranks_.several() ? moment_.checkpoint_due : time_for_checkpoint();
  }

  bool time_for_checkpoint() const { return seconds_since(saved_at_) >= checkpoint_seconds; }

  Loop::Update learn() {
    const StepProfiler::Step profiled(profiler_);
    try {
      return loop_.step(state_.step, rate_, options_.callbacks.read);
    } catch (const NotFinite& found) {
      diverged(found, state_.step + 1);
    }
  }

  void step() {
    const auto started = Clock::now();
    rate_ = schedule_.rate(state_.step, fraction());
    const Loop::Update update = learn();
    ++state_.step;
    state_.smoothed_loss = loss_memory * state_.smoothed_loss + (1 - loss_memory) * update.loss;
    state_.smoothed_weight = loss_memory * state_.smoothed_weight + (1 - loss_memory);
    state_.smoothed_clipped =
        loss_memory * state_.smoothed_clipped + (update.clipped ? 1 - loss_memory : 0);
    state_.logged_clipped += update.clipped ? 1 : 0;
    state_.logged_loss += update.loss;
    ++state_.logged_steps;
    const double seconds = seconds_since(started);
    step_seconds_ =
        step_seconds_ == 0 ? seconds : speed_memory * step_seconds_ + (1 - speed_memory) * seconds;
    if (state_.step % config_.log_every == 0) log_training(update);
    begin();
    if (options_.callbacks.stepped) options_.callbacks.stepped(progress(update));
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
    throw DivergedError(fmt::format(
        "training diverged at step {}: {} with learning rate {:g} and clip {:g}; "
        "{}; the last "
        "good checkpoint, of step {}, is kept in '{}'; try a lower lr or a lower clip",
        step, found.what(), rate_, config_.clip, suspect(model_.parameters(), found.gradients()),
        saved_step_, checkpointer_.file().string()));
  }

  /// False when a stop request cut it short; it then has no effect.
  bool validate() {
    const auto found = validator_->validate([&](double done) {
      if (stop() != 0) return false;
      if (options_.callbacks.validating) options_.callbacks.validating(done);
      return true;
    });
    if (!found) {
      agree();
      return false;
    }
    const bool best = judge(state_, loss_of(*found));
    schedule_.validated(best);
    const ValidationLine line{.step = state_.step,
                              .epoch = epoch_of(state_.step),
                              .loss = loss_of(*found),
                              .perplexity = found->perplexity,
                              .tokens = found->tokens,
                              .best = best,
                              .seconds = elapsed()};
    if (metrics_) metrics_->append(line);
    save(best);
    if (options_.callbacks.validated) {
      options_.callbacks.validated({.step = line.step,
                                    .epoch = line.epoch,
                                    .loss = line.loss,
                                    .perplexity = line.perplexity,
                                    .tokens = line.tokens,
                                    .seconds = found->seconds,
                                    .best = best,
                                    .without_improvement = state_.without_improvement,
                                    .uniform_loss = uniform_loss()});
    }
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
      for (const SharedState* state : shared_) state->send();
    }
    saved_step_ = state_.step;
    saved_at_ = Clock::now();
    begin();
    if (options_.callbacks.checkpointed) options_.callbacks.checkpointed(state_.step);
  }

  void write(bool best) {
    std::optional<PendingSafetensors> weights;
    if (best || (!validator_ && state_.step > 0)) weights = weights_.prepare();
    if (metrics_) metrics_->sync();
    state_.elapsed = elapsed();
    state_.decay = schedule_.decay();
    state_.rate = rate_;
    state_.next_rate = schedule_.rate(state_.step, budget_.fraction(state_.step, state_.elapsed));
    checkpointer_.save();
    if (weights) weights->commit();
  }

  void log_training(const Loop::Update& update) {
    const double loss = state_.logged_loss / static_cast<double>(state_.logged_steps);
    if (metrics_) {
      metrics_->append(TrainLine{.step = state_.step,
                                 .epoch = epoch_of(state_.step),
                                 .tokens = state_.step * loop_.tokens_per_step(),
                                 .loss = loss,
                                 .perplexity = std::exp(loss),
                                 .lr = update.rate,
                                 .gradient_norm = update.norm,
                                 .clipped = static_cast<double>(state_.logged_clipped) /
                                            static_cast<double>(state_.logged_steps),
                                 .tokens_per_second = tokens_per_second(),
                                 .seconds = elapsed()});
    }
    state_.logged_loss = 0;
    state_.logged_steps = 0;
    state_.logged_clipped = 0;
  }

  double tokens_per_second() const {
    return static_cast<double>(loop_.tokens_per_step()) / std::max(step_seconds_, 1e-9);
  }

  TrainProgress progress(const Loop::Update& update) const {
    TrainProgress out{.step = state_.step,
                      .total_steps = budget_.steps(),
                      .epoch = epoch_of(state_.step),
                      .steps_per_epoch = loop_.steps_per_epoch(),
                      .tokens = state_.step * loop_.tokens_per_step(),
                      .loss = update.loss,
                      .smoothed_loss = smoothed_loss(),
                      .perplexity = std::exp(smoothed_loss()),
                      .learning_rate = update.rate,
                      .gradient_norm = update.norm,
                      .clipped = state_.smoothed_clipped / state_.smoothed_weight,
                      .tokens_per_second = tokens_per_second(),
                      .fraction = fraction(),
                      .elapsed = elapsed(),
                      .eta = 0};
    out.eta = budget_.seconds_left(state_.step, out.elapsed, step_seconds_);
    return out;
  }

  TrainResult interrupted() {
    if (saved_step_ != state_.step) save();
    // Before the first validation there are no best weights: what was learnt is usable all the
    // same.
    if (ranks_.leads() && state_.step > 0 && state_.best_step == 0 && validator_) weights_.save();
    TrainResult out = result(TrainStatus::interrupted);
    out.stop = stop();
    return out;
  }

  double uniform_loss() const { return std::log(static_cast<double>(model_.config().vocabulary)); }

  /// What is said to be saved is read first.
  TrainResult result(TrainStatus status) const {
    if (ranks_.leads() && state_.step > 0) weights_.verify(checkpointer_.file());
    return {.status = status,
            .stop = 0,
            .step = state_.step,
            .epochs = state_.step / loop_.steps_per_epoch(),
            .tokens = state_.step * loop_.tokens_per_step(),
            .smoothed_loss = smoothed_loss(),
            .best_loss = state_.best_loss,
            .best_step = state_.best_step,
            .last_validation_loss = state_.last_validation_loss,
            .uniform_loss = uniform_loss(),
            .elapsed = elapsed()};
  }

  LanguageModel& model_;
  const TrainConfig& config_;
  const TrainOptions& options_;
  const RankGroup ranks_;
  Moment moment_;
  TrainState state_;
  SavedWeights weights_;
  /// Null: this process learns alone.
  const std::unique_ptr<RankExchange> exchange_;
  Loop loop_;
  const Budget budget_;
  Schedule schedule_;
  std::optional<Validator> validator_;
  StepProfiler profiler_;
  bool profile_reported_ = false;
  ParametersState parameters_{model_.parameters()};
  OptimizerState optimizer_{loop_.optimizer(), ranks_};
  CarriedState carried_{loop_.carried(), ranks_};
  PositionState position_{state_};
  std::optional<WorkersState> workers_;
  std::optional<RoundingState> rounding_;
  std::vector<const SharedState*> shared_;
  Checkpointer checkpointer_;
  std::optional<MetricsLog> metrics_;

  const Clock::time_point start_ = Clock::now();
  Clock::time_point saved_at_ = start_;
  std::int64_t saved_step_ = -1;
  bool begun_ = false;
  /// Seconds spent in the parts of the run before this one.
  double earlier_ = 0;
  double step_seconds_ = 0;
  /// Of the last step.
  double rate_ = 0;
};

}  // namespace

bool TrainResult::wrecked() const {
  if (status == TrainStatus::interrupted || step == 0) return false;
  if (step >= steps_to_beat_guessing) return !(final_loss() <= uniform_loss);
  const double allowed = 2 * uniform_loss;
  return !(final_loss() <= allowed) && !(smoothed_loss <= allowed);
}

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
