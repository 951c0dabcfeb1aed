#pragma once
// The gated convolutional language model (Dauphin et al. 2017): what its config holds.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/models/architecture.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// One convolution layer as fairseq and the tables of Dauphin et al. 2017 write it.
struct LayerSpec {
  std::int64_t channels = 0;
  std::int64_t kernel = 1;
  /// r > 0 adds the input of the layer r-1 places earlier (1: this layer's own input), 0 nothing.
  std::int64_t residual = 1;
  bool operator==(const LayerSpec&) const = default;
};

/// Parses '[(512,5)] + [(128,1,0),(128,5,0),(512,1,3)]*3'. Throws UsageError with the position and
/// what was expected there, counted from 0. Channels 1..65536, kernel 1..64, residual 0..(number of
/// layers so far + 1), at most 1000 layers.
std::vector<LayerSpec> parse_layers(std::string_view spec);
/// The inverse, repeated blocks of layers written with *N.
std::string layers_string(const std::vector<LayerSpec>& layers);

/// The stack of a model of arch gcnn.
struct GcnnShape {
  std::vector<LayerSpec> layers;
  /// The unit each layer's projection ends in: any of nn/unit_layer.hpp.
  std::string unit = "glu";
  /// A linear projection from the embedding to the first layer's channels in front of it,
  /// normalised as the layers are; with it the first layer's residual is as wide as its output
  /// (fairseq's fc1).
  bool input_projection = false;
};

std::unique_ptr<const Architecture> gcnn_architecture();

}  // namespace sluice
SLUICE_API_END
