#pragma once
// Optimizers with PyTorch's semantics, and gradient clipping by the global norm.

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sluice/base/api.hpp"
#include "sluice/base/names.hpp"
#include "sluice/models/safetensors.hpp"
#include "sluice/nn/module.hpp"

SLUICE_API_BEGIN
namespace sluice {

class FieldTable;

enum class OptimizerKind : std::uint8_t { nesterov, sgd, adam, adamw };

/// "nesterov", "sgd", "adam", "adamw".
const EnumNames<OptimizerKind>& enum_names(OptimizerKind);
/// A learning rate to start from when nothing else is known: 1 for nesterov and sgd (with clipping
/// at 0.1, as Dauphin et al. 2017, §4.2 train), 0.002 for adam and adamw.
double default_learning_rate(OptimizerKind kind);
/// The clipping threshold that goes with default_learning_rate: 0.1 for nesterov and sgd, 1 for
/// adam and adamw.
double default_clip(OptimizerKind kind);

struct OptimizerConfig {
  OptimizerKind kind = OptimizerKind::nesterov;
  /// nesterov and sgd, in [0, 1); nesterov needs more than 0.
  double momentum = 0.99;
  /// adam and adamw: decay of the first and second moment, and the denominator's offset.
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  /// Added to the gradient (nesterov, sgd, adam), or taken from the weight as lr·weight_decay·w
  /// (adamw); only where Parameter::decay says so.
  double weight_decay = 0;
  /// Names of parameters, or patterns of them as a shell's ("layers.0.*"), that stay what they are:
  /// neither updated nor counted in the gradients' norm.
  std::vector<std::string> freeze = {};
  /// "PATTERN=X": the learning rate of these parameters is multiplied by X, that of a name that
  /// several fit by the last one's.
  std::vector<std::string> lr_scale = {};
  /// λ of a pull towards the weights that the run began with, w -= lr·λ·(w - w₀) in each step
  /// before the update: the penalty λ/2 ‖w - w₀‖² (Li et al. 2018, "Explicit inductive bias for
  /// transfer learning", eq. 2), apart from the gradient as adamw's decay is. 0: none.
  double keep = 0;

  /// Throws UsageError naming the first value that is out of range.
  void validate() const;
  bool operator==(const OptimizerConfig&) const = default;
};

/// Its fields (base/fields.hpp), `kind` as "optimizer".
const FieldTable& optimizer_fields();

/// What the learning rate of each parameter is multiplied by, 0 of those that are frozen. Throws
/// UsageError for a pattern that fits no name, naming the nearest, and one without a number.
std::vector<double> learning_rate_scales(const Parameters& parameters,
                                         const OptimizerConfig& config);

/// Consecutive scalars of a parameter.
struct ScalarRange {
  std::int64_t begin = 0, end = 0;
  std::int64_t size() const { return end - begin; }
};

/// Which part of every parameter an optimizer updates: the `index`-th of `count`, whole blocks of
/// 16,384 scalars. Parts are about equal over all parameters, and over those of any bucket that
/// travels.
struct OptimizerShard {
  int index = 0, count = 1;
};

/// Updates parameters in place from their gradients, all in one parallel pass over fixed blocks;
/// the result does not depend on the number of threads. The rules are torch.optim.SGD's (dampening
/// 0), Adam's (Kingma & Ba 2015, algorithm 1) and AdamW's (Loshchilov & Hutter 2019, algorithm 2).
/// As in PyTorch, a parameter without a gradient is left alone, moments and step count included.
/// The rows a sparse gradient leaves out are updated as by zeros, to the bit: their moments decay
/// and still move them.
///
/// A shard of several has the moments of its own scalars and updates these alone, to the bits that
/// one optimizer of all would give them (Rajbhandari et al. 2020, "ZeRO", section 5.1).
class Optimizer {
 public:
  /// `parameters` must outlive the optimizer. Throws UsageError for an invalid config, Error for a
  /// parameter that is not float32.
  Optimizer(const Parameters& parameters, const OptimizerConfig& config, OptimizerShard shard = {});

  const OptimizerConfig& config() const { return config_; }
  /// Those that require a gradient.
  const Parameters& parameters() const { return parameters_; }

  const OptimizerShard& shard() const { return shard_; }
  /// The scalars of parameter `p` that shard `index` updates; those of all shards follow each
  /// other.
  ScalarRange range(std::size_t p, int index) const;

  /// Of several shards each sums the squares of its own scalars, block by block: gets these sums
  /// and the number of them that each shard has, gives those of all shards, one after the other.
  using AllParts = std::function<std::vector<double>(std::span<const double> mine,
                                                     std::span<const std::size_t> counts)>;
  /// ‖all gradients‖₂, summed in double in a fixed order: the same for any number of threads, and
  /// for any number of shards, which need `all`. 0 when there are no gradients. Gradients whose op
  /// knew their squares are not read again.
  double gradient_norm(const AllParts& all = {}) const;

  /// One update with every gradient multiplied by `gradient_scale` first (clipping).
  void step(double learning_rate, double gradient_scale = 1);

  /// Forgets every gradient.
  void zero_gradients() const;

  /// The moments, as "momentum.NAME", or "first.NAME" and "second.NAME" in the files' layout,
  /// "kept.NAME", the weights that the run began with where it is pulled towards them, and "steps",
  /// one count per parameter. Of several shards each tensor of moments is made by `whole`, which
  /// gets this shard's part of it and the parameter's index.
  using MakeWhole = std::function<Tensor(std::size_t p, const Tensor& part)>;
  TensorSources state(const MakeWhole& whole = {}) const;
  /// This shard's parts of moments, with their parameters, in the order of state().
  std::vector<std::pair<std::size_t, Tensor>> moments() const;
  /// Throws Error naming the first tensor of `state` that is missing, unknown or of another shape
  /// than what state() gives.
  void check_state(const TensorSources& state) const;
  /// Takes back what state() gave, its own part of it, one tensor at a time, once check_state() has
  /// passed it.
  void load_state(const TensorSources& state);

 private:
  struct Block {
    std::size_t parameter;
    std::int64_t begin;
    std::int64_t end;
  };

  bool adaptive() const {
    return config_.kind == OptimizerKind::adam || config_.kind == OptimizerKind::adamw;
  }
  /// Calls body(index of block) for every block, groups of blocks at the same time.
  template <class Body>
  void for_each_block(Body&& body) const;
  /// The blocks of parameter `p` that shard `index` updates.
  struct BlockRange {
    std::size_t begin, end;
  };
  BlockRange blocks_of(std::size_t p, int index) const;
  bool owns(std::size_t block) const;
  /// Fills in the sums that other shards made.
  void join_parts(const AllParts& all) const;
  void update(const Block& block, float learning_rate, float gradient_scale);
  /// Moves a block's weights towards those that the run began with.
  void pull(const Block& block, float learning_rate) const;

  Parameters parameters_;  // the trainable ones
  OptimizerConfig config_;
  OptimizerShard shard_;
  std::vector<Block> blocks_;
  /// Of each parameter, and the number of blocks.
  std::vector<std::size_t> first_block_;
  /// Where each group of blocks begins, and the number of blocks: groups have about as many scalars
  /// each, so that threads share evenly and a small model stays on one.
  std::vector<std::size_t> groups_;
  /// One per block, kept to avoid allocating in every step.
  mutable std::vector<double> partial_;
  /// Momentum, or first and second moment, of range(p, shard_.index) of each parameter; undefined
  /// where there is none.
  std::vector<Tensor> first_;
  std::vector<Tensor> second_;
  /// What parameters were at first, where they are pulled towards that.
  std::vector<Tensor> kept_;
  /// learning_rate_scales().
  std::vector<double> scales_;
  /// Updates each parameter has had.
  std::vector<std::int32_t> steps_;
};

/// The factor torch.nn.utils.clip_grad_norm_ multiplies gradients by: min(1, clip / (norm + 1e-6));
/// 1 when clip is 0 (no clipping).
double clip_coefficient(double norm, double clip);

}  // namespace sluice
SLUICE_API_END
