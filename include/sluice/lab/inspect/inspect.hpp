#pragma once
// Inspection: what happens inside a trained model on a text, layer by layer and over time.

#include <cstdint>
#include <filesystem>
#include <string>

#include "sluice/base/api.hpp"
#include "sluice/base/pieces.hpp"
#include "sluice/lab/inspect/inspection.hpp"
#include "sluice/models/language_model.hpp"
#include "sluice/text/corpus.hpp"
#include "sluice/text/tokenizer.hpp"

SLUICE_API_BEGIN
namespace sluice {

struct InspectOptions {
  /// Tokens at the start of the text to measure layers and surprisal on.
  std::int64_t tokens = 20'000;
  /// Which sections to measure.
  bool layers = true, lags = true, context = true;
  /// The farthest lag k, and the positions t to average over, spread evenly over the text; 0:
  /// tokens / 160, at most 1,000. A text has fewer lags where not half of its tokens have twice as
  /// many before them in their document.
  std::int64_t most_lag = 256;
  std::int64_t lag_positions = 0;
  /// The largest context, and the positions to average over; 0: tokens / 80, at most 2,000. A text
  /// has fewer contexts where not half of its tokens have as many before them in their document.
  std::int64_t most_context = 256;
  std::int64_t context_positions = 0;
  /// Tokens whose surprisal is listed one by one, at most `tokens`.
  std::int64_t surprisals = 5'000;
  /// The name of the text, recorded in the result.
  std::string file = {};
  /// May throw to end the inspection.
  Progress progress = {};
  /// Who does the measures over time, batch by batch; null: this process. Only the one that leads
  /// gets the result; others get some of it. All must be given the same model and text.
  PieceWork* work = nullptr;
};

/// Measures of a model on a text (docs/formats.md has every field).
/// Without dropout; convolutions take the direct path. Of a text in documents each is read as if it
/// were alone: no state, lag or context reaches across their borders.
///
/// Layers: the first `tokens` tokens are read once, in chunks with the state carried, on the tape,
/// with L the mean negative log-likelihood over all of them (no gradient flows from chunk to
/// chunk). For each layer, with z what its unit reads (halves a and b for gates), u what the unit
/// gives and y the layer's output:
///   gate        the unit's factor within (0, 1): σ(b) of glu, gtu and reglu_sigmoid, a sigmoid or
///               hardsigmoid on either side; for x · gate(x) (silu, gelu, hardswish, mish and
///               gates made of them) gate(x); a recurrent cell's gates. Mean, shares in 20 bins,
///               and the share below 0.05 or above 0.95
///   activation  mean and variance of u
///   dead_share  the share of u's channels that are 0 on every token; for one-input units of the
///               form x · gate(x), never above 0
///   negative_share  the share of channels of z (of a) that are 0 or below on every token
///   zero_share  the share of u's values that are 0
///   lost_share  the share of channels of z (of a) where ‖dL/dz‖ is below a thousandth of the mean
///               over channels: dead for learning, though the unit may give something
///   gradient    norm ‖dL/dy‖; for gates the shares of ‖dL/da‖² and ‖dL/db‖² in their sum; gains
///               ‖dL/da‖ / ‖dL/du‖ and ‖dL/db‖ / ‖dL/du‖, or for one-input units ‖dL/dz‖ / ‖dL/du‖
/// Sums are accumulated in float64.
///
/// Lags: the mean over positions t of ‖∂loss_t / ∂x_{t-k}‖₂ against k, loss_t the negative
/// log-likelihood of the token behind position t and x_s the token vector that enters the stack at
/// position s (Pascanu et al. 2013, section 2.1). Windows of most_lag + 1 positions
/// start from the state after the most_lag positions before them.
///
/// Context: the mean loss of the same tokens when the model starts that many tokens before each (as
/// at the start of a text) and sees nothing earlier; Khandelwal et al. 2018, section 4.
///
/// Clears the gradients of the model's parameters and leaves the model unfrozen. Throws UsageError
/// for numbers below 1 (0 where that chooses), Error when the text is empty or its vocabulary is
/// not the model's.
Inspection inspect_model(LanguageModel& model, const Tokenizer& tokenizer, const TokenShards& text,
                         const InspectOptions& options = {});

/// Replaces inspect.json, layers.csv, lags.csv, context.csv and surprisal.csv in `directory`.
void write_inspection(const std::filesystem::path& directory, const Inspection& inspection);

/// Whether `directory` has nothing, or nothing but what is left of an inspection that was killed
/// while it ran or was written.
bool holds_unfinished_inspection(const std::filesystem::path& directory);

/// The layers, the lags and the contexts as text of at most 100 columns.
std::string format_inspection(const Inspection& inspection);

}  // namespace sluice
SLUICE_API_END
