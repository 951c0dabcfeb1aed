#include "sluice/training/plan.hpp"

#include <cstdint>
#include <utility>

namespace sluice {

TrainPlan plan_run(Settings settings, const PreparedText& text, Notes& notes) {
  const std::int64_t tokens = text.train.size();
  Notes of_training;
  const TrainConfig training = choose_training(settings.training, tokens, of_training);
  const ModelConfig model = choose_model(
      settings.model, {tokens, text.tokenizer->size(), training.context, text.labels}, notes);
  notes.insert(notes.end(), of_training.begin(), of_training.end());
  check_run(model, training, text.train);
  return plan_of(std::move(settings), model, training);
}

}  // namespace sluice
