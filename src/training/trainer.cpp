#include "sluice/training/trainer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "metrics.hpp"
#include "sluice/base/error.hpp"
#include "sluice/inference/evaluate.hpp"
#include "sluice/kernels/arithmetic.hpp"
#include "sluice/models/model_directory.hpp"
#include "sluice/text/batches.hpp"
#include "sluice/training/checkpoint.hpp"
#include "sluice/training/data_fingerprint.hpp"

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;

/// Seconds between checkpoints when no number of steps is asked for.
constexpr double checkpoint_seconds = 300;
/// Weight of the past in the moving averages of the loss and of the time per step.
constexpr double loss_memory = 0.98;
constexpr double speed_memory = 0.9;
/// Tokens that warm a model without a bounded receptive field up in validation (EvalOptions).
constexpr std::int64_t validation_warm_up = 256;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double sum_of_squares(const Tensor& tensor) {
  return kernels::sum_of_squares(tensor.data<float>(), static_cast<std::size_t>(tensor.elements()));
}

/// What a resumed run has to share: anything else may change.
std::map<std::string, std::string> fingerprint_of(const LanguageModel& model,
                                                  const TokenShards& train,
                                                  const TokenShards* valid,
                                                  const TrainConfig& config,
                                                  const std::map<std::string, std::string>& more) {
  std::map<std::string, std::string> out = more;
  const nlohmann::json model_config = model.config();
  for (const auto& [name, value] : model_config.items()) {
    if (name != "dropout") out["model " + name] = value.dump();
  }
  out["batch"] = std::to_string(config.batch);
  out["context"] = std::to_string(config.context);
  out["carry"] = config.carry ? "on" : "off";
  out["optimizer"] = optimizer_name(config.optimizer.kind);
  out["training data"] = data_fingerprint(train);
  out["validation data"] = valid != nullptr ? data_fingerprint(*valid) : "none";
  return out;
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

class Run {
 public:
  Run(LanguageModel& model, const TokenShards& train, const TokenShards* valid,
      const TrainConfig& config, const std::filesystem::path& directory,
      const TrainOptions& options)
      : model_(model),
        valid_(valid),
        config_(config),
        options_(options),
        model_file_(directory / "model.safetensors"),
        checkpoint_file_(directory / "checkpoint.safetensors"),
        trace_file_(directory / "trace.json"),
        stream_(train, config.batch, config.context),
        total_steps_(config.total_steps(stream_.steps_per_epoch())),
        optimizer_(model.parameters(), config.optimizer),
        schedule_(config.schedule),
        profiler_(options.profile_steps),
        inputs_(static_cast<std::size_t>(tokens_per_step())),
        targets_(inputs_.size()) {
    optimizer_.zero_gradients();
    auto fingerprint = fingerprint_of(model, train, valid, config, options.fingerprint);
    const auto metrics_file = directory / "metrics.jsonl";
    if (options.resume) {
      state_ = load_checkpoint(checkpoint_file_, fingerprint, model_, optimizer_, carried_);
      schedule_.set_decay(state_.decay);
      saved_step_ = state_.step;
      earlier_ = state_.elapsed;
      metrics_.emplace(metrics_file, state_.step, state_.validated_step == state_.step);
      return;
    }
    // A first checkpoint at once: it replaces that of any earlier run, shows whether there is room
    // for it, and a run can be resumed from its first moment on.
    state_.fingerprint = std::move(fingerprint);
    save();
    metrics_.emplace(metrics_file, -1, false);
    std::filesystem::remove(model_file_);
  }

  TrainResult run() {
    const TrainResult out = loop();
    report_profile();  // of a run that ended before all steps were profiled
    return out;
  }

 private:
  TrainResult loop() {
    while (true) {
      const bool done = budget_used();
      if (stop_requested()) return interrupted();
      if (valid_ != nullptr && state_.validated_step != state_.step &&
          (done || validation_step()) && !validate()) {
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

  std::int64_t tokens_per_step() const { return config_.batch * config_.context; }
  double elapsed() const { return earlier_ + seconds_since(start_); }
  std::int64_t epoch_of(std::int64_t steps) const {
    return steps == 0 ? 0 : (steps - 1) / stream_.steps_per_epoch() + 1;
  }
  double smoothed_loss() const {
    return state_.smoothed_weight > 0 ? state_.smoothed_loss / state_.smoothed_weight : 0;
  }

  bool stop_requested() const { return options_.stop != nullptr && options_.stop->load() != 0; }

  bool budget_used() const {
    return (total_steps_ > 0 && state_.step >= total_steps_) ||
           (config_.minutes > 0 && elapsed() >= 60 * config_.minutes);
  }

  double fraction() const {
    double used = 0;
    if (total_steps_ > 0) {
      used = static_cast<double>(state_.step) / static_cast<double>(total_steps_);
    }
    if (config_.minutes > 0) used = std::max(used, elapsed() / (60 * config_.minutes));
    return std::min(used, 1.0);
  }

  bool validation_step() const {
    const std::int64_t every =
        config_.validate_every > 0 ? config_.validate_every : stream_.steps_per_epoch();
    return state_.step > 0 && state_.step % every == 0;
  }

  bool checkpoint_due() const {
    if (config_.checkpoint_every > 0) return state_.step % config_.checkpoint_every == 0;
    return seconds_since(saved_at_) >= checkpoint_seconds;
  }

  struct Update {
    double loss;
    double rate;
    double norm;
  };

  /// Learns from the next chunks.
  Update update() {
    const StepProfiler::Step profiled(profiler_);
    if (!config_.carry || stream_.starts_epoch(state_.step)) carried_.tensors.clear();
    {
      const ProfileScope scope("batch");
      stream_.read(state_.step, inputs_.data(), targets_.data());
    }
    if (options_.callbacks.read) options_.callbacks.read(state_.step, inputs_, targets_);
    const double rate = schedule_.rate(state_.step, fraction());
    const double loss = forward_backward(rate);
    const double norm = optimizer_.gradient_norm();
    if (!std::isfinite(norm)) diverged("the gradient norm", norm, rate, state_.step + 1, true);
    optimizer_.step(rate, clip_coefficient(norm, config_.clip));
    model_.constrain();
    optimizer_.zero_gradients();
    return {loss, rate, norm};
  }

  void step() {
    const auto started = Clock::now();
    const auto [loss, rate, norm] = update();
    ++state_.step;
    state_.smoothed_loss = loss_memory * state_.smoothed_loss + (1 - loss_memory) * loss;
    state_.smoothed_weight = loss_memory * state_.smoothed_weight + (1 - loss_memory);
    state_.logged_loss += loss;
    ++state_.logged_steps;
    const double seconds = seconds_since(started);
    step_seconds_ =
        step_seconds_ == 0 ? seconds : speed_memory * step_seconds_ + (1 - speed_memory) * seconds;
    last_rate_ = rate;
    if (state_.step % config_.log_every == 0) log_training(rate, norm);
    if (options_.callbacks.stepped) options_.callbacks.stepped(progress(loss, rate, norm));
  }

  /// Writes the trace and hands the profile on, once, when there is one.
  void report_profile() {
    if (profile_reported_ || profiler_.profiled() == 0) return;
    profile_reported_ = true;
    const StepProfile profile = profiler_.profile(tokens_per_step(), config_.precision);
    write_chrome_trace(trace_file_);
    if (options_.callbacks.profiled) options_.callbacks.profiled(profile);
  }

  /// One forward and backward pass; the loss.
  double forward_backward(double rate) {
    const ForwardOptions forward{.training = true,
                                 .seed = config_.seed,
                                 .step = static_cast<std::uint32_t>(state_.step),
                                 .precision = config_.precision,
                                 .conv = config_.conv,
                                 .recompute = config_.recompute};
    Tape tape;
    const Variable loss = [&] {
      const ProfileScope scope("forward");
      const Variable hidden =
          model_.hidden(inputs_, config_.batch, config_.context, carried_, forward);
      return model_.loss(hidden, targets_, forward);
    }();
    const double value = static_cast<double>(loss.value().data<float>()[0]);
    if (!std::isfinite(value)) diverged("the loss", value, rate, state_.step + 1, false);
    const ProfileScope scope("backward");
    tape.backward(loss);
    return value;
  }

  /// Throws the error that says what is not finite and what is left.
  [[noreturn]] void diverged(std::string_view what, double value, double rate, std::int64_t step,
                             bool gradients) const {
    throw DivergedError(
        fmt::format("training diverged at step {}: {} is {} with learning rate {:g} and clip {:g}; "
                    "{}; the last "
                    "good checkpoint, of step {}, is kept in '{}'; try a lower lr or a lower clip",
                    step, what, std::isnan(value) ? "NaN" : "infinite", rate, config_.clip,
                    suspect(gradients), saved_step_, checkpoint_file_.string()));
  }

  /// The first parameter that is not finite, or whose gradient is not; else the largest.
  std::string suspect(bool gradients) const {
    const Parameter* largest = nullptr;
    double most = -1;
    for (const Parameter& parameter : model_.parameters()) {
      const Tensor& grad = parameter.variable.grad();
      const double square = sum_of_squares(parameter.variable.value());
      if (!std::isfinite(square)) {
        return fmt::format("the first weights that are not finite are those of '{}'",
                           parameter.name);
      }
      if (gradients && grad.defined() && !std::isfinite(sum_of_squares(grad))) {
        return fmt::format("the first gradient that is not finite is that of '{}'", parameter.name);
      }
      const double mean = square / static_cast<double>(parameter.variable.value().elements());
      if (mean > most) {
        most = mean;
        largest = &parameter;
      }
    }
    return fmt::format("all weights are finite, the largest are those of '{}' ({:.3g} on average)",
                       largest->name, std::sqrt(most));
  }

  /// False when a stop request cut it short; it then has no effect.
  bool validate() {
    struct Stopped {};
    EvalOptions options;
    options.warm_up = validation_warm_up;
    options.progress = [&](std::int64_t done, std::int64_t total) {
      if (stop_requested()) throw Stopped{};
      if (options_.callbacks.validating) {
        options_.callbacks.validating(static_cast<double>(done) / static_cast<double>(total));
      }
    };
    EvalResult found;
    try {
      found = evaluate(*FrozenModel::freeze(model_, {.conv = config_.conv}), *valid_, options);
    } catch (const Stopped&) {
      return false;
    }
    const double loss = found.nll / static_cast<double>(found.tokens);
    if (!std::isfinite(loss)) diverged("the validation loss", loss, last_rate_, state_.step, false);
    const bool best = loss < state_.best_loss;
    state_.validated_step = state_.step;
    state_.last_validation_loss = loss;
    if (best) {
      state_.best_loss = loss;
      state_.best_step = state_.step;
      save_parameters(model_file_, model_);
    }
    state_.without_improvement = best ? 0 : state_.without_improvement + 1;
    schedule_.validated(best);
    state_.decay = schedule_.decay();
    metrics_->append({{"event", "validation"},
                      {"step", state_.step},
                      {"epoch", epoch_of(state_.step)},
                      {"loss", loss},
                      {"perplexity", found.perplexity},
                      {"tokens", found.tokens},
                      {"best", best},
                      {"seconds", elapsed()}});
    save();
    if (options_.callbacks.validated) {
      options_.callbacks.validated({.step = state_.step,
                                    .epoch = epoch_of(state_.step),
                                    .loss = loss,
                                    .perplexity = found.perplexity,
                                    .tokens = found.tokens,
                                    .seconds = found.seconds,
                                    .best = best,
                                    .without_improvement = state_.without_improvement});
    }
    return true;
  }

  /// Saves the checkpoint, and without validation the model too.
  void save() {
    for (const Parameter& parameter : model_.parameters()) {
      if (!std::isfinite(sum_of_squares(parameter.variable.value()))) {
        diverged("a weight", std::numeric_limits<double>::quiet_NaN(), last_rate_, state_.step,
                 false);
      }
    }
    if (valid_ == nullptr && state_.step > 0) save_parameters(model_file_, model_);
    if (metrics_) metrics_->sync();
    state_.elapsed = elapsed();
    save_checkpoint(checkpoint_file_, model_, optimizer_, carried_, state_);
    saved_step_ = state_.step;
    saved_at_ = Clock::now();
    if (options_.callbacks.checkpointed) options_.callbacks.checkpointed(state_.step);
  }

  void log_training(double rate, double norm) {
    const double loss = state_.logged_loss / static_cast<double>(state_.logged_steps);
    metrics_->append({{"event", "train"},
                      {"step", state_.step},
                      {"epoch", epoch_of(state_.step)},
                      {"tokens", state_.step * tokens_per_step()},
                      {"loss", loss},
                      {"perplexity", std::exp(loss)},
                      {"lr", rate},
                      {"gradient_norm", norm},
                      {"tokens_per_second", tokens_per_second()},
                      {"seconds", elapsed()}});
    state_.logged_loss = 0;
    state_.logged_steps = 0;
  }

  double tokens_per_second() const {
    return static_cast<double>(tokens_per_step()) / std::max(step_seconds_, 1e-9);
  }

  TrainProgress progress(double loss, double rate, double norm) const {
    TrainProgress out{.step = state_.step,
                      .total_steps = total_steps_,
                      .epoch = epoch_of(state_.step),
                      .steps_per_epoch = stream_.steps_per_epoch(),
                      .tokens = state_.step * tokens_per_step(),
                      .loss = loss,
                      .smoothed_loss = smoothed_loss(),
                      .perplexity = std::exp(smoothed_loss()),
                      .learning_rate = rate,
                      .gradient_norm = norm,
                      .tokens_per_second = tokens_per_second(),
                      .fraction = fraction(),
                      .elapsed = elapsed(),
                      .eta = std::numeric_limits<double>::infinity()};
    if (total_steps_ > 0) {
      out.eta = static_cast<double>(total_steps_ - state_.step) * step_seconds_;
    }
    if (config_.minutes > 0) {
      out.eta = std::min(out.eta, std::max(0.0, 60 * config_.minutes - out.elapsed));
    }
    return out;
  }

  TrainResult interrupted() {
    if (saved_step_ != state_.step) save();
    // Before the first validation there are no best weights: what was learnt is usable all the
    // same.
    if (state_.step > 0 && !std::filesystem::exists(model_file_)) {
      save_parameters(model_file_, model_);
    }
    TrainResult out = result(TrainStatus::interrupted);
    out.stop = options_.stop->load();
    return out;
  }

  TrainResult result(TrainStatus status) const {
    return {.status = status,
            .stop = 0,
            .step = state_.step,
            .epochs = state_.step / stream_.steps_per_epoch(),
            .tokens = state_.step * tokens_per_step(),
            .smoothed_loss = smoothed_loss(),
            .best_loss = state_.best_loss,
            .best_step = state_.best_step,
            .last_validation_loss = state_.last_validation_loss,
            .elapsed = elapsed()};
  }

  LanguageModel& model_;
  const TokenShards* valid_;
  const TrainConfig& config_;
  const TrainOptions& options_;
  const std::filesystem::path model_file_;
  const std::filesystem::path checkpoint_file_;
  const std::filesystem::path trace_file_;
  BatchStream stream_;
  std::int64_t total_steps_;
  Optimizer optimizer_;
  Schedule schedule_;
  StepProfiler profiler_;
  bool profile_reported_ = false;
  std::vector<TokenId> inputs_;
  std::vector<TokenId> targets_;
  ModelState carried_;
  TrainState state_;
  std::optional<MetricsLog> metrics_;

  const Clock::time_point start_ = Clock::now();
  Clock::time_point saved_at_ = start_;
  std::int64_t saved_step_ = -1;
  /// Seconds spent in the parts of the run before this one.
  double earlier_ = 0;
  double step_seconds_ = 0;
  double last_rate_ = 0;
};

}  // namespace

TrainResult train(LanguageModel& model, const TokenShards& train, const TokenShards* valid,
                  const TrainConfig& config, const std::filesystem::path& directory,
                  const TrainOptions& options) {
  config.validate();
  check_vocabulary(model, train, "training");
  if (valid != nullptr) check_vocabulary(model, *valid, "validation");
  return Run(model, train, valid, config, directory, options).run();
}

}  // namespace sluice
