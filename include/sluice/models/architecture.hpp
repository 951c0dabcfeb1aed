#pragma once
// An architecture: all that one kind of language model knows of itself, and the list of those that
// there are. docs/architectures.md walks through adding one.

#include <any>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/base/fields.hpp"
#include "sluice/models/graph.hpp"
#include "sluice/models/language_model.hpp"
#include "sluice/models/torch_form.hpp"
#include "sluice/nn/token_layers.hpp"

SLUICE_API_BEGIN
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

/// How large a training text is, by its tokens: what default sizes go by. The last has no end.
enum class TextSize : std::uint8_t {
  tiny,    ///< to 100,000
  small,   ///< to 1.5 million
  medium,  ///< to 20 million
  large,   ///< to 200 million
  huge,
};
TextSize text_size(std::int64_t tokens);

/// What a model is to be made for: what its defaults depend on.
struct ModelTask {
  /// Training tokens.
  std::int64_t tokens = 0;
  std::int64_t vocabulary = 0;
  /// Positions per chunk that training goes back through.
  std::int64_t context = 0;
  /// Names of the labels of its text (ModelConfig::labels).
  std::vector<std::string> labels = {};
};

/// Operations of a stack that must wait for one another, however many processors there are: a layer
/// at all positions is one where it can be computed at all of them at once.
struct SequentialOperations {
  /// To read a text of some length with this model.
  std::int64_t reading = 0;
  /// For one prediction to depend on that many tokens: with layers like these, as many of them as
  /// it takes. N/k for convolutions of width k, N for recurrence (Dauphin et al. 2017, section 1).
  std::int64_t depending = 0;
};

/// Names of fields that a user gave, which no default overrides.
using GivenFields = std::set<std::string, std::less<>>;

/// A number of channels within a ModelConfig, for making sizes equal.
struct ModelWidth {
  std::int64_t* value = nullptr;
  /// What it has to stay a multiple of.
  std::int64_t step = 1;
};

/// The widths of a model that may be changed without making it another kind of model. Pointers into
/// the config it was asked of.
struct ModelWidths {
  /// Those multiplied by one factor.
  std::vector<ModelWidth> together = {};
  /// The widest of those the search goes by, and what it has to stay a multiple of.
  std::int64_t widest = 1;
  std::int64_t step = 1;
  /// One that may besides be set apart, to make up for what whole channels cannot; none: all hang
  /// together.
  std::optional<ModelWidth> apart = {};
  /// Whether that one alone is tried first.
  bool apart_first = false;
};

/// No width is made larger than this.
inline constexpr std::int64_t kMostWidth = 65536;

/// A kind of checkpoint that another program writes: known to the library's own architectures only.
struct ForeignKind;

/// What the library asks of an architecture. Implementations are immutable, and used by any number
/// of threads at once.
class Architecture {
 public:
  virtual ~Architecture() = default;
  Architecture(const Architecture&) = delete;
  Architecture& operator=(const Architecture&) = delete;

  /// ModelConfig::arch(). Letters, digits and _.
  const std::string& name() const { return name_; }

  /// A shape as ModelConfig::shape() has it, its sizes 0.
  virtual std::any make_shape() const = 0;
  /// The fields that it has besides the common ones: how they are called and what they take, how
  /// flags set them and what the manual says of them.
  virtual const FieldTable& fields() const = 0;
  /// The table with the shape of a config of this architecture.
  virtual FieldPart part(ModelConfig& config) const = 0;
  virtual FieldPart part(const ModelConfig& config) const = 0;
  /// Those of its fields, and of the common ones, that say how large a model is, the one for its
  /// number of layers first.
  virtual std::vector<std::string> size_fields() const = 0;

  /// Values of ModelConfig::norm that it can have, and the one it has unless asked.
  virtual std::vector<std::string> norms() const;
  virtual std::string default_norm() const { return "none"; }
  /// Whether its stack reads ForwardOptions::labels, so that a config may have labels.
  virtual bool takes_labels() const { return false; }
  /// Throws UsageError for fields that do not go together. All that fields() and the table of
  /// common fields can check has been checked, and the norm.
  virtual void validate(const ModelConfig& config) const = 0;
  /// Throws UsageError when `path` cannot serve one of its convolutions.
  virtual void check_conv_path(const ModelConfig& /*config*/, ConvPath /*path*/) const {}
  /// ModelConfig::summary().
  virtual std::string summary(const ModelConfig& config) const = 0;

  /// Width of the stack's output, which the softmax reads.
  virtual std::int64_t output_width(const ModelConfig& config) const = 0;
  /// Trainable scalars of the stack.
  virtual std::int64_t parameters(const ModelConfig& config) const = 0;
  /// Multiplications of the stack's forward pass per token: one for each parameter, what labels add
  /// excepted, unless the architecture has products of other things.
  virtual std::int64_t multiplications(const ModelConfig& config) const {
    return parameters(without_labels(config));
  }
  /// Those for a text of `length` tokens; none: the architecture does not know.
  virtual std::optional<SequentialOperations> sequential(const ModelConfig& /*config*/,
                                                         std::int64_t /*length*/) const {
    return std::nullopt;
  }
  virtual StackMemory memory(const ModelConfig& config, bool recompute) const = 0;
  /// The widths of `config`, which is valid.
  virtual ModelWidths widths(ModelConfig& config) const = 0;

  /// Sets dim and the shape's sizes as befits a text, from nothing.
  virtual void choose_size(ModelConfig& config, TextSize size) const = 0;
  /// Sets what follows from other fields, those in `given` excepted. Fields may be out of range.
  virtual void complete(ModelConfig& /*config*/, const ModelTask& /*task*/,
                        const GivenFields& /*given*/) const {}
  /// Named models of it.
  virtual std::vector<Preset> presets() const { return {}; }

  /// The config is valid; seed and dtype as make_model's.
  virtual std::unique_ptr<LanguageModel> make(const ModelConfig& config,
                                              std::optional<std::uint64_t> seed,
                                              DType dtype) const = 0;

  /// Draws the stack of a valid config for other runtimes: x [B, T, dim] to [B, T, output_width()].
  /// Weights are asked of `stack` by the names they have in files. Throws Error unless overridden,
  /// and for what no graph holds.
  virtual GraphValue draw(const ModelConfig& config, StackGraph& stack, const GraphValue& x) const;
  /// The stack of a valid config with these parameters, all of a model's, in PyTorch. Throws Error
  /// unless overridden, and for what PyTorch does not have.
  virtual TorchStack torch_stack(const ModelConfig& config, const Parameters& parameters) const;
  /// Other programs' checkpoints that are models of it, for import_model(); null: of none.
  virtual const ForeignKind* foreign_kind() const { return nullptr; }

 protected:
  explicit Architecture(std::string name) : name_(std::move(name)) {}

 private:
  std::string name_;
};

/// An architecture with a shape of this type.
template <class Shape>
class ArchitectureOf : public Architecture {
 public:
  std::any make_shape() const override { return Shape{}; }
  FieldPart part(ModelConfig& config) const override { return {fields(), config.shape<Shape>()}; }
  FieldPart part(const ModelConfig& config) const override {
    return {fields(), config.shape<Shape>()};
  }

 protected:
  using Architecture::Architecture;
};

/// Adds one to the list, for the rest of the program: `ModelConfig("its name")` and everything
/// above then know it. Throws Error when there is one of that name. Thread-safe.
const Architecture& register_architecture(std::unique_ptr<const Architecture> architecture);
/// Throws UsageError for an unknown name, naming the nearest. Thread-safe.
const Architecture& find_architecture(std::string_view name);
/// In the order of registration. Thread-safe.
std::vector<const Architecture*> architectures();

/// The embedding and the softmax around a config's stack.
TokenLayersOptions token_layers_options(const ModelConfig& config);

/// Multiplications per token of the softmax of a valid config, its output weights: D·V for the full
/// one, D the stack's output_width(); for the adaptive one those of its head, D·(first cutoff +
/// tails), since the tails are computed only for the tokens in them.
std::int64_t softmax_multiplications(const ModelConfig& config);

/// Labels of a config, the unknown one not counted.
std::int64_t label_count(const ModelConfig& config);

/// Throws UsageError: "model config: FAULT".
[[noreturn]] void refuse_config(const std::string& fault);

/// Throws UsageError when norm is "group" and the groups do not divide `channels`: "N groups do not
/// divide WHAT; change groups or FIELDS".
void check_config_groups(const ModelConfig& config, std::int64_t channels, std::string_view what,
                         std::string_view fields);

/// What channels have to be a multiple of for the config's norm.
std::int64_t norm_step(const ModelConfig& config);

/// Layers a stack may have.
inline constexpr std::int64_t kMostDepth = 1000;

}  // namespace sluice
SLUICE_API_END
