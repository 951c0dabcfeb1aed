#pragma once
// The perplexity of a model on texts, with a line of progress.

#include <string>

#include "model_argument.hpp"
#include "sluice/inference/evaluate.hpp"
#include "sluice/text/line_parts.hpp"
#include "text_flags.hpp"

namespace sluice::cli {

/// What was found, and how much text it was.
struct TextEvaluation {
  EvalResult result;
  TextExtent extent;
};

/// Throws RankError when the processes that share a command's work have other texts.
void check_same_text(const TokenShards& corpus);

/// Says on standard error, in the name of `command`, what was skipped. Throws Error as
/// TextFlags::open(), tokenize_corpus() and evaluate() do.
TextEvaluation evaluate_text(const LoadedPredictor& loaded, const TextFlags& text,
                             const std::string& command);

}  // namespace sluice::cli
