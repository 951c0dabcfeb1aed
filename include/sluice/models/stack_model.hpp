#pragma once
// What the architectures share: token layers around a stack.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "sluice/base/api.hpp"
#include "sluice/models/language_model.hpp"
#include "sluice/nn/token_layers.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// Initialiser streams: token layers count up from 0, a stack's layers from here.
inline constexpr std::uint32_t kStackInitStream = 1024;

/// A language model embedding → stack → softmax. Derived classes build their stack in the
/// constructor and add its parameters to parameters_ behind the token layers'; their gradients,
/// states and files follow. Threads: one at a time.
class StackModel : public LanguageModel {
 public:
  const Parameters& parameters() const override { return parameters_; }
  Variable hidden(std::span<const std::int32_t> ids, std::int64_t batch, std::int64_t time,
                  ModelState& state, const ForwardOptions& options) override;
  Variable loss(const Variable& hidden, std::span<const std::int32_t> targets,
                const ForwardOptions& options, Tensor* nll) override;
  std::unique_ptr<FrozenTokens> freeze_tokens(const FreezeOptions& options) const override;
  /// Serves where an architecture has no frozen form of its own: a copy of the model, which reads
  /// one text after another, one thread at a time.
  std::unique_ptr<FrozenStack> freeze_stack(const FreezeOptions& options) const override;

 protected:
  StackModel(const ModelConfig& config, std::optional<std::uint64_t> seed, DType dtype);

  /// x [B, T, D] to [B, T, W], W the architecture's output_width; reads `state` as what came before
  /// and replaces it. The options' dropout is the config's.
  virtual Variable stack(const Variable& x, ModelState& state, const ForwardOptions& options) = 0;
  /// Stream of the dropout on the stack's output; those of the stack's own are below it.
  virtual std::uint32_t output_dropout_stream() const = 0;
  /// The stack's output y [B, T, W] with that dropout: a mask for each position, unless the
  /// model says otherwise.
  virtual Variable drop(const Variable& y, const Dropout& dropout) const;

  Parameters parameters_;

 private:
  class Copied;

  std::unique_ptr<TokenLayers> tokens_;
};

}  // namespace sluice
SLUICE_API_END
