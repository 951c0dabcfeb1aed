#pragma once
// The Transformer language model: what its config holds.

#include <cstdint>
#include <memory>
#include <string>

#include "sluice/base/api.hpp"
#include "sluice/models/architecture.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// The stack of a model of arch transformer; its width is ModelConfig::dim.
struct TransformerShape {
  std::int64_t depth = 0, heads = 0;
  /// Positions a query sees, itself included.
  std::int64_t window = 128;
  /// "rotary" (Su et al. 2021), "learned" or "none".
  std::string positions = "rotary";
  /// Unit and inner width of the feed-forward layers.
  std::string ffn = "swiglu";
  std::int64_t ffn_width = 0;
};

std::unique_ptr<const Architecture> transformer_architecture();

}  // namespace sluice
SLUICE_API_END
