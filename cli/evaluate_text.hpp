#pragma once
// The perplexity of a model on texts, with a line of progress.

#include <string>

#include "sluice/inference/evaluate.hpp"
#include "sluice/inference/frozen_model.hpp"
#include "text_flags.hpp"

namespace sluice::cli {

/// Says on standard error, in the name of `command`, what was skipped. Throws Error as
/// TextFlags::open(), tokenize_corpus() and evaluate() do.
EvalResult evaluate_text(const LoadedFrozenModel& loaded, const TextFlags& text,
                         const std::string& command);

}  // namespace sluice::cli
