#include "run_figures.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "validator.hpp"

namespace sluice {
namespace {

/// Weight of the past in the moving averages of the loss and of the time per step.
constexpr double loss_memory = 0.98;
constexpr double speed_memory = 0.9;
/// A learning rate that a resumed run changes by more than this part is told of. A time budget
/// alone moves it by the moments between saving and going on.
constexpr double rate_tolerance = 0.01;

}  // namespace

void RunFigures::take(const Loop::Update& update, double seconds) {
  ++state_.step;
  state_.smoothed_loss = loss_memory * state_.smoothed_loss + (1 - loss_memory) * update.loss;
  state_.smoothed_weight = loss_memory * state_.smoothed_weight + (1 - loss_memory);
  state_.smoothed_clipped =
      loss_memory * state_.smoothed_clipped + (update.clipped ? 1 - loss_memory : 0);
  state_.logged_clipped += update.clipped ? 1 : 0;
  state_.logged_loss += update.loss;
  ++state_.logged_steps;
  step_seconds_ =
      step_seconds_ == 0 ? seconds : speed_memory * step_seconds_ + (1 - speed_memory) * seconds;
}

TrainLine RunFigures::line(const Loop::Update& update, double elapsed) {
  const double loss = state_.logged_loss / static_cast<double>(state_.logged_steps);
  const TrainLine line{.step = state_.step,
                       .epoch = epoch(),
                       .tokens = tokens(),
                       .loss = loss,
                       .perplexity = std::exp(loss),
                       .lr = update.rate,
                       .gradient_norm = update.norm,
                       .clipped = static_cast<double>(state_.logged_clipped) /
                                  static_cast<double>(state_.logged_steps),
                       .tokens_per_second = tokens_per_second(),
                       .seconds = elapsed};
  state_.logged_loss = 0;
  state_.logged_steps = 0;
  state_.logged_clipped = 0;
  return line;
}

TrainProgress RunFigures::progress(const Loop::Update& update, double fraction,
                                   double elapsed) const {
  return {.step = state_.step,
          .total_steps = budget_.steps(),
          .epoch = epoch(),
          .steps_per_epoch = loop_.steps_per_epoch(),
          .tokens = tokens(),
          .loss = update.loss,
          .smoothed_loss = smoothed_loss(),
          .perplexity = std::exp(smoothed_loss()),
          .learning_rate = update.rate,
          .gradient_norm = update.norm,
          .clipped = state_.smoothed_clipped / state_.smoothed_weight,
          .tokens_per_second = tokens_per_second(),
          .fraction = fraction,
          .elapsed = elapsed,
          .eta = budget_.seconds_left(state_.step, elapsed, step_seconds_)};
}

std::string RunFigures::rate_jump(double rate) const {
  if (state_.rate <= 0 || std::abs(rate / state_.next_rate - 1) <= rate_tolerance) return "";
  return fmt::format(
      "the learning rate was {:.3g} when the run was saved and is {:.3g} from here on: "
      "lr, schedule and budget are those of the run that resumes, as if they had been so from "
      "the start; for no jump, resume with a constant schedule of lr {:.3g}",
      state_.rate, rate, state_.rate);
}

ValidationReport RunFigures::report(const EvalResult& found, bool best) const {
  return {.step = state_.step,
          .epoch = epoch(),
          .loss = loss_of(found),
          .perplexity = found.perplexity,
          .tokens = found.tokens,
          .seconds = found.seconds,
          .best = best,
          .without_improvement = state_.without_improvement,
          .uniform_loss = uniform_loss()};
}

ValidationLine RunFigures::line(const ValidationReport& report, double elapsed) {
  return {.step = report.step,
          .epoch = report.epoch,
          .loss = report.loss,
          .perplexity = report.perplexity,
          .tokens = report.tokens,
          .best = report.best,
          .seconds = elapsed};
}

TrainResult RunFigures::result(TrainStatus status, double elapsed) const {
  return {.status = status,
          .stop = 0,
          .step = state_.step,
          .epochs = state_.step / loop_.steps_per_epoch(),
          .tokens = tokens(),
          .smoothed_loss = smoothed_loss(),
          .best_loss = state_.best_loss,
          .best_step = state_.best_step,
          .last_validation_loss = state_.last_validation_loss,
          .uniform_loss = uniform_loss(),
          .elapsed = elapsed};
}

std::int64_t RunFigures::epoch() const {
  return state_.step == 0 ? 0 : (state_.step - 1) / loop_.steps_per_epoch() + 1;
}

double RunFigures::smoothed_loss() const {
  return state_.smoothed_weight > 0 ? state_.smoothed_loss / state_.smoothed_weight : 0;
}

double RunFigures::tokens_per_second() const {
  return static_cast<double>(loop_.tokens_per_step()) / std::max(step_seconds_, 1e-9);
}

double RunFigures::uniform_loss() const { return std::log(static_cast<double>(vocabulary_)); }

bool TrainResult::wrecked() const {
  if (status == TrainStatus::interrupted || step == 0) return false;
  if (step >= steps_to_beat_guessing) return !(final_loss() <= uniform_loss);
  const double allowed = 2 * uniform_loss;
  return !(final_loss() <= allowed) && !(smoothed_loss <= allowed);
}

}  // namespace sluice
