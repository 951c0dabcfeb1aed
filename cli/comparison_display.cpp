#include "comparison_display.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sluice/base/numbers.hpp"
#include "stop_signals.hpp"

namespace sluice::cli {

std::string ComparisonDisplay::name_of(const CompareRun& run) const {
  return fmt::format("{}, lr {:g}, seed {}", comparison_->variants()[run.variant].variant.name,
                     run.rate, run.seed);
}

std::string ComparisonDisplay::step_text(const CompareProgress& progress) const {
  std::string text =
      fmt::format("run {}/{}  ETA {}  {}  loss {:.3f}",
                  grouped(std::min(progress.done + 1, progress.total)), grouped(progress.total),
                  clock_time(progress.eta), name_of(progress.run), progress.train.smoothed_loss);
  if (details_) {
    text += fmt::format("  {} tokens/s",
                        grouped(static_cast<std::int64_t>(progress.train.tokens_per_second)));
  }
  return text;
}

std::string ComparisonDisplay::result_text(const CompareRun& run) const {
  const RunRecord& record = run.record;
  if (record.status == RunStatus::diverged) {
    return fmt::format("{}: diverged at step {}", name_of(run), grouped(record.steps));
  }
  return fmt::format("{}: validation loss {:.4f}{} in {}", name_of(run), record.final_loss,
                     details_ ? fmt::format(" after {} tokens", grouped(record.tokens)) : "",
                     clock_time(record.seconds));
}

void ComparisonDisplay::update(double fraction, const std::string& text) {
  progress_.update(fraction, place_.empty() ? text : fmt::format("{}  {}", place_, text));
}

CompareCallbacks ComparisonDisplay::callbacks() {
  CompareCallbacks callbacks;
  callbacks.preparing = until_interrupted(progress_);
  callbacks.stepped = [this](const CompareProgress& progress) {
    update(progress.fraction, step_text(progress));
  };
  callbacks.trained = [this](const CompareRun& run) { say(result_text(run)); };
  callbacks.note = [this](const std::string& text) { say(text); };
  return callbacks;
}

}  // namespace sluice::cli
