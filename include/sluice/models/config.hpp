#pragma once
// What a model is: everything needed to build it, as config.json's "model" object holds it.

#include <any>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/base/fields.hpp"
#include "sluice/text/documents.hpp"

SLUICE_API_BEGIN
namespace sluice {

class Architecture;

/// The fields that every model has, and the shape of its architecture: a value, copied and assigned
/// as a whole. Threads: as any value, one writer or many readers.
struct ModelConfig {
  /// Of the first architecture of architecture_names().
  ModelConfig();
  /// Of this architecture, with its own norm and an empty shape. Throws UsageError for an unknown
  /// one, naming the nearest.
  explicit ModelConfig(std::string_view arch);

  const Architecture& architecture() const { return *architecture_; }
  const std::string& arch() const;

  /// What the architecture has besides, of the type it says: GcnnShape (models/gcnn.hpp),
  /// RecurrentShape (models/recurrent.hpp), TransformerShape (models/transformer.hpp). Throws Error
  /// for another type.
  template <class Shape>
  Shape& shape() {
    if (auto* const own = std::any_cast<Shape>(&shape_)) return *own;
    refuse_shape();
  }
  template <class Shape>
  const Shape& shape() const {
    if (const auto* const own = std::any_cast<Shape>(&shape_)) return *own;
    refuse_shape();
  }

  std::int64_t vocabulary = 0;
  /// Embedding width D.
  std::int64_t dim = 0;
  /// One of the architecture's norms(), which says what is normalised.
  std::string norm;
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
  /// own way (Kaiming for convolutions), the others and what the scale multiplies are stated in
  /// docs/formats.md.
  std::string init = "default";
  float init_scale = 1;
  /// What texts may be labelled with, each a different name; label i of RowLabels is labels[i - 1].
  /// Empty: the model is not conditional.
  std::vector<std::string> labels = {};
  /// Probability that a label is unknown while training.
  float label_dropout = 0.1F;
  /// What ends a document of its texts, each of which is read from nothing before it; and the token
  /// at a document's end (document_rule()), empty: none.
  DocumentEnd documents = DocumentEnd::none;
  std::string document_mark = {};

  /// Throws UsageError naming the first field that is out of range or inconsistent.
  void validate() const;
  /// The number of a label (RowLabels). Throws UsageError for one that the model does not have,
  /// naming the nearest, and for a model without labels.
  std::int32_t label(std::string_view name) const;
  /// Number of trainable scalars of the model this builds, without building it.
  std::int64_t parameter_count() const;
  /// The stack in a few words: "8 layers of glu", "2 layers of lstm, 512 wide".
  std::string summary() const;

 private:
  [[noreturn]] void refuse_shape() const;

  const Architecture* architecture_;
  std::any shape_;
};

/// Whether config.json says the same of both.
bool operator==(const ModelConfig& a, const ModelConfig& b);
/// The same model without labels.
ModelConfig without_labels(ModelConfig config);

/// Those registered (models/architecture.hpp), the default one first.
std::vector<std::string> architecture_names();

/// "default", "xavier", "kaiming", "orthogonal".
const std::vector<std::string>& init_names();

/// The fields that every model has, "arch" excepted, which says what the others are.
const FieldTable& common_model_fields();
/// The fields of a config, "arch" excepted.
FieldParts model_parts(ModelConfig& config);
FieldParts model_parts(const ModelConfig& config);
inline FieldParts field_parts(ModelConfig& config) { return model_parts(config); }
inline FieldParts field_parts(const ModelConfig& config) { return model_parts(config); }
/// Names of the fields of config.json's "model" object that a model of this architecture has.
/// Throws UsageError for an unknown architecture, naming the nearest.
std::vector<std::string> model_fields(std::string_view arch);

/// The object that config.json holds as "model".
Value write_model(const ModelConfig& config);
/// The inverse. Throws as `place` says, naming the field that is missing, unknown or of the wrong
/// type.
ModelConfig read_model(const Value& object, const FieldPlace& place);

/// A named model of some architecture.
struct Preset {
  std::string name;
  /// Where the shape comes from, or what it is for.
  std::string description;
  /// The model for large vocabularies, its vocabulary 0.
  ModelConfig config;
};
/// Those of all architectures.
std::vector<Preset> presets();
/// Throws UsageError naming the nearest presets.
Preset find_preset(std::string_view name);
/// The preset's config for a vocabulary: cutoffs beyond it dropped, a full softmax when none is
/// left.
ModelConfig preset_config(const Preset& preset, std::int64_t vocabulary);

}  // namespace sluice
SLUICE_API_END
