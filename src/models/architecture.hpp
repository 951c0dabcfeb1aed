#pragma once
// What the models room needs to know of an architecture: one object for each value of
// ModelConfig::arch.

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/models/language_model.hpp"

namespace sluice {

/// What training needs memory for besides parameters, their gradients and the optimizer's state,
/// in scalars.
struct StackMemory {
  /// Derived weights (weight normalisation), whatever the batch.
  double derived = 0;
  /// Kept for the gradients, for each position of a chunk.
  double per_position = 0;
  /// The most that is live for one layer's gradients besides, for each position.
  double widest = 0;
};

/// Layers a recurrent stack or a Transformer may have.
inline constexpr std::int64_t kMostDepth = 1000;

class Architecture {
 public:
  virtual ~Architecture() = default;
  /// The fields of config.json that it has besides the common ones.
  virtual std::vector<std::string> fields() const = 0;
  /// ModelConfig::summary().
  virtual std::string summary(const ModelConfig& config) const = 0;
  /// Throws UsageError naming the first of its fields that is out of range.
  virtual void validate(const ModelConfig& config) const = 0;
  /// Width of the stack's output, which the softmax reads.
  virtual std::int64_t output_width(const ModelConfig& config) const = 0;
  /// Trainable scalars of the stack.
  virtual std::int64_t parameters(const ModelConfig& config) const = 0;
  virtual StackMemory memory(const ModelConfig& config, bool recompute) const = 0;
  /// Writes, and reads, its own fields. Reading throws Error naming the field.
  virtual void write(nlohmann::json& json, const ModelConfig& config) const = 0;
  virtual void read(const nlohmann::json& json, ModelConfig& config) const = 0;
  /// The config must be valid.
  virtual std::unique_ptr<LanguageModel> make(const ModelConfig& config,
                                              std::optional<std::uint64_t> seed,
                                              DType dtype) const = 0;
};

const Architecture& gcnn_architecture();
/// Null unless `name` is that of a recurrent cell.
const Architecture* find_recurrent_architecture(std::string_view name);
const Architecture& transformer_architecture();

/// Throws UsageError for an unknown name, naming the nearest.
const Architecture& find_architecture(std::string_view name);

/// Throws UsageError: "model config: FAULT".
[[noreturn]] void refuse_config(const std::string& fault);

/// Throws UsageError unless least <= value <= most; `what` is "a depth", say.
void check_config_range(std::string_view what, std::int64_t value, std::int64_t least,
                        std::int64_t most);

}  // namespace sluice
