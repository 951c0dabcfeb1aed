#pragma once
// How far back a model's predictions reach: gradients over lags, loss over contexts.

#include <cstdint>
#include <functional>
#include <vector>

#include "sluice/base/pieces.hpp"
#include "sluice/models/language_model.hpp"
#include "sluice/text/corpus.hpp"

namespace sluice {

/// Called with the cost of work done: tokens times forward passes.
using Spent = std::function<void(std::int64_t)>;

/// A backward pass costs two forward passes.
inline constexpr std::int64_t backward_cost = 3;

/// Where measures over time are taken.
struct TimePlan {
  /// The farthest lag, or the largest context.
  std::int64_t reach = 0;
  /// Indices into the text of the tokens to predict.
  std::vector<std::int64_t> targets = {};
  /// Forward passes over one token that measuring costs.
  std::int64_t cost = 0;
};

/// Lags 0 .. reach: each target has reach + 1 positions in its document that lead to it, and reach
/// more to warm up on. Reach is such that half of all tokens at least have them: at most a quarter
/// of a text that is one document.
TimePlan plan_lags(const DocumentEnds& documents, std::int64_t most_lag, std::int64_t positions);
/// Contexts 1, 2, 4 .. reach, reach such that half of all tokens at least have as many before them
/// in their document: at most half of a text that is one.
TimePlan plan_contexts(const DocumentEnds& documents, std::int64_t most_context,
                       std::int64_t positions);

/// By k from 0: the mean over the plan's targets of ‖∂loss_t / ∂x_{t-k}‖.
/// Batches of targets are pieces of `work`: only the process that leads gets the measures.
std::vector<double> lag_norms(LanguageModel& model, const TokenShards& text, const TimePlan& plan,
                              const Spent& spent, PieceWork& work);

/// The contexts of a plan: 1, 2, 4 .. reach.
std::vector<std::int64_t> contexts_of(const TimePlan& plan);
/// The mean loss of the plan's targets for each context, by pieces as lag_norms(). Needs no tape.
std::vector<double> context_losses(LanguageModel& model, const TokenShards& text,
                                   const TimePlan& plan, const Spent& spent, PieceWork& work);

}  // namespace sluice
