#pragma once
// What a model is: everything needed to build it, as config.json's "model" object holds it.

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

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

/// Stack of a recurrent model (arch rnn, lstm, gru, indrnn, mut1).
struct RecurrentShape {
  /// Layers, and the hidden size H of each.
  std::int64_t depth = 0, hidden = 0;
  /// lstm: what the forget gate's bias starts at.
  float forget_bias = 1;
  /// lstm: gates that are always open, of "input", "forget" and "output" (for ablations).
  std::vector<std::string> removed_gates;
  /// gru: whether the reset gate acts "after" the matrix product (PyTorch, cuDNN) or "before" it
  /// (Cho et al. 2014).
  std::string reset = "after";
  /// indrnn: the largest |u|.
  float bound = 1;
  /// Layers add their inputs where widths agree.
  bool residual = false;
  /// One dropout mask for all steps of a chunk (Gal & Ghahramani 2016).
  bool variational = false;
};

/// Stack of a Transformer (arch transformer); its width is ModelConfig::dim.
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

struct ModelConfig {
  /// One of architecture_names().
  std::string arch = "gcnn";
  /// Of arch gcnn; the shapes below are of the other architectures.
  std::vector<LayerSpec> layers;
  RecurrentShape recurrent;
  TransformerShape transformer;
  std::int64_t vocabulary = 0;
  /// Embedding width D.
  std::int64_t dim = 0;
  /// gcnn: the layers' unit. rnn: the cell's nonlinearity, tanh or relu. Others: empty.
  std::string unit = "glu";
  /// "none", "layer", "rms", "group" or "batch", and for gcnn "weight" (Salimans & Kingma 2016):
  /// gcnn normalises projections before the unit, recurrent models the inputs of layers,
  /// Transformers the inputs of blocks' halves.
  std::string norm = "weight";
  /// Channel groups of norm "group".
  std::int64_t groups = 8;
  float dropout = 0;
  /// "adaptive" (Grave et al. 2017) or "full".
  std::string softmax = "adaptive";
  /// Ascending band ends for the adaptive softmax, each in (0, vocabulary), without the last.
  std::vector<std::int64_t> cutoffs;
  /// Output weights shared with the embedding; with the adaptive softmax this is the adaptive
  /// input of Baevski & Auli 2019 with tied bands and projections.
  bool tie = false;
  /// How the weights of the stack are drawn: one of init_names(). "default" is the architecture's
  /// own way (Kaiming for gcnn), the others and what the scale multiplies are stated in
  /// docs/formats.md.
  std::string init = "default";
  float init_scale = 1;

  /// Throws UsageError naming the first field that is out of range or inconsistent.
  void validate() const;
  /// Number of trainable scalars of the model this builds, without building it.
  std::int64_t parameter_count() const;
  /// The stack in a few words: "8 layers of glu", "2 layers of lstm, 512 wide".
  std::string summary() const;
};

/// "gcnn", "rnn", "lstm", "gru", "indrnn", "mut1", "transformer".
const std::vector<std::string>& architecture_names();

/// "default", "xavier", "kaiming", "orthogonal".
const std::vector<std::string>& init_names();

/// The fields of config.json's "model" object that a model of this architecture has. Throws
/// UsageError for an unknown architecture, naming the nearest.
std::vector<std::string> model_fields(std::string_view arch);

void to_json(nlohmann::json& json, const ModelConfig& config);
/// Throws Error naming the missing or ill-typed field.
void from_json(const nlohmann::json& json, ModelConfig& config);

/// A named model shape.
struct Preset {
  std::string name;
  std::string layers;
  std::int64_t dim;
  std::vector<std::int64_t> cutoffs;
  /// Where the shape comes from, or what it is for.
  std::string description;
};
const std::vector<Preset>& presets();
/// Throws UsageError naming the nearest presets.
const Preset& find_preset(std::string_view name);
/// The preset's config for a vocabulary: cutoffs beyond it dropped, a full softmax when none is
/// left.
ModelConfig preset_config(const Preset& preset, std::int64_t vocabulary);

}  // namespace sluice
