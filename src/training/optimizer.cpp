#include "sluice/training/optimizer.hpp"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <span>

#include "sluice/base/error.hpp"
#include "sluice/base/fields.hpp"
#include "sluice/base/names.hpp"
#include "sluice/base/numbers.hpp"
#include "sluice/base/parallel.hpp"
#include "sluice/base/profile.hpp"
#include "sluice/kernels/arithmetic.hpp"
#include "sluice/kernels/optimizers.hpp"

namespace sluice {
namespace {

/// Scalars per block: large enough to hide the cost of a call, small enough to share out evenly.
constexpr std::int64_t block_size = 16384;
/// Scalars per group of blocks, the least that is worth another thread.
constexpr std::int64_t group_size = 65536;

/// Calls body(begin, end, grad) over pieces of [begin, end) of a parameter's scalars, in order:
/// grad points to the gradient of the piece's first, or is null where sparse rows leave zeros.
template <class Body>
void for_each_piece(GradientSlot& gradient, std::int64_t begin, std::int64_t end, Body&& body) {
  const SparseRows* sparse = gradient.sparse();
  if (sparse == nullptr) {
    body(begin, end, gradient.dense().data<float>() + begin);
    return;
  }
  const std::int64_t columns = sparse->rows.dim(1);
  const auto first = sparse->ids.begin();
  auto id = std::lower_bound(first, sparse->ids.end(), begin / columns);
  for (; id != sparse->ids.end() && *id * columns < end; ++id) {
    const std::int64_t row = *id * columns;
    const std::int64_t from = std::max(begin, row), to = std::min(end, row + columns);
    if (from > begin) body(begin, from, nullptr);
    body(from, to, sparse->rows.data<float>() + (id - first) * columns + (from - row));
    begin = to;
  }
  if (begin < end) body(begin, end, nullptr);
}

}  // namespace

const EnumNames<OptimizerKind>& enum_names(OptimizerKind) {
  static const EnumNames<OptimizerKind> names("optimizer", {{OptimizerKind::nesterov, "nesterov"},
                                                            {OptimizerKind::sgd, "sgd"},
                                                            {OptimizerKind::adam, "adam"},
                                                            {OptimizerKind::adamw, "adamw"}});
  return names;
}

double default_learning_rate(OptimizerKind kind) {
  return kind == OptimizerKind::nesterov || kind == OptimizerKind::sgd ? 1 : 0.002;
}

double default_clip(OptimizerKind kind) {
  return kind == OptimizerKind::nesterov || kind == OptimizerKind::sgd ? 0.1 : 1;
}

const FieldTable& optimizer_fields() {
  static const char* const group = "Optimizer";
  static const FieldTable table =
      FieldsOf<OptimizerConfig>()
          .add("optimizer", &OptimizerConfig::kind,
               {.flag = "--optimizer",
                .group = group,
                .help = "nesterov, sgd, adam or adamw (default adamw)"})
          .add("momentum", &OptimizerConfig::momentum,
               {.range = from_to_below(0, 1),
                .flag = "--momentum",
                .group = group,
                .help = "of nesterov and sgd (default 0.99)"})
          .add("beta1", &OptimizerConfig::beta1,
               {.range = from_to_below(0, 1),
                .flag = "--beta1",
                .group = group,
                .help = "decay of the first moment, adam and adamw (default 0.9)"})
          .add("beta2", &OptimizerConfig::beta2,
               {.range = from_to_below(0, 1),
                .flag = "--beta2",
                .group = group,
                .help = "decay of the second moment, adam and adamw (default 0.999)"})
          .add("epsilon", &OptimizerConfig::epsilon,
               {.range = {.least = 0, .most = 1, .least_excluded = true, .most_excluded = true},
                .flag = "--epsilon",
                .group = group,
                .help = "adam's and adamw's denominator offset (default 1e-8)"})
          .add("weight_decay", &OptimizerConfig::weight_decay,
               {.range = at_least(0),
                .flag = "--weight-decay",
                .group = group,
                .help = "decay of weights (default 0)"})
          .add("freeze", &OptimizerConfig::freeze,
               {.flag = "--freeze",
                .group = group,
                .value = "PATTERN,..",
                .help = "parameters that stay what they are, by name: 'embedding.*' (sluice info "
                        "lists names)",
                .optional = true,
                .one_for_list = true})
          .only_if([](const OptimizerConfig& config) { return !config.freeze.empty(); })
          .add("lr_scale", &OptimizerConfig::lr_scale,
               {.flag = "--lr-scale",
                .group = group,
                .value = "PATTERN=X,..",
                .help = "multiply the learning rate of these parameters by X",
                .optional = true,
                .one_for_list = true})
          .only_if([](const OptimizerConfig& config) { return !config.lr_scale.empty(); })
          .add("keep", &OptimizerConfig::keep,
               {.range = at_least(0),
                .flag = "--keep",
                .group = group,
                .help = "pull weights towards those that the run began with: a penalty of X/2 "
                        "times the square of their distance (default 0)",
                .optional = true})
          .only_if([](const OptimizerConfig& config) { return config.keep > 0; });
  return table;
}

void OptimizerConfig::validate() const {
  check_fields({{optimizer_fields(), *this}}, {.where = "training config"});
  if (kind == OptimizerKind::nesterov && momentum == 0) {
    throw UsageError(
        "training config: nesterov needs a momentum above 0, got 0; use sgd to train without one");
  }
}

std::vector<double> learning_rate_scales(const Parameters& parameters,
                                         const OptimizerConfig& config) {
  std::vector<double> scales(parameters.size(), 1);
  const auto set = [&](const char* field, const std::string& pattern, double scale) {
    bool any = false;
    std::vector<std::string> names;
    for (std::size_t p = 0; p < parameters.size(); ++p) {
      names.push_back(parameters[p].name);
      if (::fnmatch(pattern.c_str(), names.back().c_str(), 0) != 0) continue;
      scales[p] = scale;
      any = true;
    }
    if (any) return;
    throw UsageError(fmt::format("training config: field '{}': no parameter is named '{}'; {}",
                                 field, pattern, suggestion(pattern, names)));
  };
  for (const std::string& text : config.lr_scale) {
    const std::size_t equals = text.rfind('=');
    const auto scale = equals == std::string::npos
                           ? std::nullopt
                           : real_number(std::string_view(text).substr(equals + 1));
    if (!scale || !(*scale >= 0)) {
      throw UsageError(
          fmt::format("training config: field 'lr_scale': expected PATTERN=X with X of 0 or more, "
                      "like 'embedding.*=0.1', got '{}'",
                      text));
    }
    set("lr_scale", text.substr(0, equals), *scale);
  }
  for (const std::string& pattern : config.freeze) set("freeze", pattern, 0);
  return scales;
}

Optimizer::Optimizer(const Parameters& parameters, const OptimizerConfig& config,
                     OptimizerShard shard)
    : config_(config), shard_(shard) {
  config_.validate();
  for (const Parameter& parameter : parameters) {
    if (parameter.variable.requires_grad()) parameters_.push_back(parameter);
  }
  scales_ = learning_rate_scales(parameters_, config_);
  kept_.resize(parameters_.size());
  const bool momentum = adaptive() || config_.momentum > 0;
  first_.resize(parameters_.size());
  second_.resize(parameters_.size());
  steps_.resize(parameters_.size());
  std::int64_t in_group = 0;
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    const Tensor& value = parameters_[p].variable.value();
    if (value.dtype() != DType::f32) {
      throw Error(fmt::format("optimizer: parameter '{}' must be float32, got {}",
                              parameters_[p].name, dtype_name(value.dtype())));
    }
    if (config_.keep > 0) kept_[p] = value.clone();
    first_block_.push_back(blocks_.size());
    for (std::int64_t begin = 0; begin < value.elements(); begin += block_size) {
      const std::int64_t end = std::min(begin + block_size, value.elements());
      if (in_group == 0) groups_.push_back(blocks_.size());
      blocks_.push_back({p, begin, end});
      in_group += end - begin;
      if (in_group >= group_size) in_group = 0;
    }
  }
  groups_.push_back(blocks_.size());
  first_block_.push_back(blocks_.size());
  partial_.resize(blocks_.size());
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    const Shape whole = parameters_[p].variable.shape();
    const Shape own = shard_.count == 1 ? whole : Shape{range(p, shard_.index).size()};
    if (momentum) first_[p] = Tensor::zeros(own);
    if (adaptive()) second_[p] = Tensor::zeros(own);
  }
}

Optimizer::BlockRange Optimizer::blocks_of(std::size_t p, int index) const {
  const std::size_t first = first_block_[p], count = first_block_[p + 1] - first;
  const auto shards = static_cast<std::size_t>(shard_.count);
  // What a parameter's blocks leave over goes to others than the last one's did.
  const auto bound = [&](int shard) {
    return first + (count * static_cast<std::size_t>(shard) + first % shards) / shards;
  };
  return {bound(index), bound(index + 1)};
}

bool Optimizer::owns(std::size_t block) const {
  const BlockRange own = blocks_of(blocks_[block].parameter, shard_.index);
  return block >= own.begin && block < own.end;
}

ScalarRange Optimizer::range(std::size_t p, int index) const {
  const BlockRange blocks = blocks_of(p, index);
  if (blocks.begin == blocks.end) return {};
  return {blocks_[blocks.begin].begin, blocks_[blocks.end - 1].end};
}

template <class Body>
void Optimizer::for_each_block(Body&& body) const {
  parallel_for(static_cast<std::int64_t>(groups_.size()) - 1, 1,
               [&](std::int64_t begin, std::int64_t end) {
                 const std::size_t last = groups_[static_cast<std::size_t>(end)];
                 for (std::size_t i = groups_[static_cast<std::size_t>(begin)]; i < last; ++i) {
                   body(i);
                 }
               });
}

void Optimizer::join_parts(const AllParts& all) const {
  std::vector<double> mine;
  std::vector<std::size_t> counts(static_cast<std::size_t>(shard_.count));
  const auto for_each_own = [&](int shard, auto&& body) {
    for (std::size_t p = 0; p < parameters_.size(); ++p) {
      const BlockRange own = blocks_of(p, shard);
      for (std::size_t i = own.begin; i < own.end; ++i) body(i);
    }
  };
  for (int shard = 0; shard < shard_.count; ++shard) {
    for_each_own(shard, [&](std::size_t i) {
      ++counts[static_cast<std::size_t>(shard)];
      if (shard == shard_.index) mine.push_back(partial_[i]);
    });
  }
  const std::vector<double> found = all(mine, counts);
  auto next = found.begin();
  for (int shard = 0; shard < shard_.count; ++shard) {
    for_each_own(shard, [&](std::size_t i) { partial_[i] = *next++; });
  }
}

double Optimizer::gradient_norm(const AllParts& all) const {
  const ProfileScope profile("optimizer", 0, 4 * static_cast<double>(parameter_count(parameters_)));
  for_each_block([&](std::size_t i) {
    const Block& block = blocks_[i];
    const Gradient& gradient = parameters_[block.parameter].variable.gradient();
    partial_[i] = 0;
    if (scales_[block.parameter] == 0 || !owns(i)) return;
    if (!gradient || !gradient->defined() || gradient->squares()) return;
    for_each_piece(*gradient, block.begin, block.end,
                   [&](std::int64_t begin, std::int64_t end, const float* grad) {
                     if (grad == nullptr) return;
                     partial_[i] +=
                         kernels::sum_of_squares(grad, static_cast<std::size_t>(end - begin));
                   });
  });
  if (shard_.count > 1) join_parts(all);
  double sum = 0;
  for (const double part : partial_) sum += part;
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    const Gradient& gradient = parameters_[p].variable.gradient();
    if (gradient && scales_[p] > 0) sum += gradient->squares().value_or(0);
  }
  return std::sqrt(sum);
}

void Optimizer::step(double learning_rate, double gradient_scale) {
  const double numbers = adaptive() ? 7 : config_.momentum > 0 ? 5 : 3;  // per parameter
  const ProfileScope profile("optimizer", 0,
                             4 * numbers * static_cast<double>(parameter_count(parameters_)));
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    const Gradient& gradient = parameters_[p].variable.gradient();
    if (gradient && gradient->defined()) ++steps_[p];
  }
  for_each_block([&](std::size_t i) {
    if (!owns(i)) return;
    update(blocks_[i], static_cast<float>(learning_rate), static_cast<float>(gradient_scale));
  });
}

void Optimizer::update(const Block& block, float learning_rate, float gradient_scale) {
  const std::size_t p = block.parameter;
  const Parameter& parameter = parameters_[p];
  const Gradient& gradient = parameter.variable.gradient();
  if (!gradient || !gradient->defined() || scales_[p] == 0) return;
  learning_rate *= static_cast<float>(scales_[p]);
  pull(block, learning_rate);
  const std::int64_t first = shard_.count == 1 ? 0 : range(p, shard_.index).begin;
  const auto at = [&](const Tensor& moment, std::int64_t begin) {
    return moment.defined() ? moment.data<float>() + (begin - first) : nullptr;
  };
  float* const w = parameter.variable.value().data<float>();
  const float decay = parameter.decay ? static_cast<float>(config_.weight_decay) : 0.0F;
  if (!adaptive()) {
    const kernels::SgdStep step{gradient_scale, learning_rate, static_cast<float>(config_.momentum),
                                decay, config_.kind == OptimizerKind::nesterov};
    for_each_piece(*gradient, block.begin, block.end,
                   [&](std::int64_t begin, std::int64_t end, const float* grad) {
                     kernels::sgd_step(w + begin, at(first_[p], begin), grad, step,
                                       static_cast<std::size_t>(end - begin));
                   });
    return;
  }
  const kernels::AdamStep step{
      .gradient_scale = gradient_scale,
      .lr = learning_rate,
      .beta1 = static_cast<float>(config_.beta1),
      .beta2 = static_cast<float>(config_.beta2),
      .epsilon = static_cast<float>(config_.epsilon),
      .weight_decay = decay,
      .bias_correction1 = static_cast<float>(1 - std::pow(config_.beta1, steps_[p])),
      .bias_correction2 = static_cast<float>(1 - std::pow(config_.beta2, steps_[p])),
      .decoupled = config_.kind == OptimizerKind::adamw};
  for_each_piece(*gradient, block.begin, block.end,
                 [&](std::int64_t begin, std::int64_t end, const float* grad) {
                   kernels::adam_step(w + begin, at(first_[p], begin), at(second_[p], begin), grad,
                                      step, static_cast<std::size_t>(end - begin));
                 });
}

void Optimizer::pull(const Block& block, float learning_rate) const {
  const Tensor& kept = kept_[block.parameter];
  if (!kept.defined()) return;
  float* const w = parameters_[block.parameter].variable.value().data<float>();
  const float* const before = kept.data<float>();
  const float part = learning_rate * static_cast<float>(config_.keep);
  for (std::int64_t i = block.begin; i < block.end; ++i) w[i] -= part * (w[i] - before[i]);
}

void Optimizer::zero_gradients() const {
  for (const Parameter& parameter : parameters_) parameter.variable.zero_grad();
}

TensorSources Optimizer::state(const MakeWhole& whole) const {
  TensorSources out;
  const auto add = [&](const std::string& kind, std::size_t p, const Tensor& tensor, bool part) {
    if (!tensor.defined()) return;
    const Parameter& parameter = parameters_[p];
    out.push_back({{kind + parameter.name, parameter.file_shape(), tensor.dtype()},
                   [&parameter, p, tensor, make = part ? whole : MakeWhole()] {
                     return parameter.in_file(make ? make(p, tensor) : tensor);
                   }});
  };
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    add(adaptive() ? "first." : "momentum.", p, first_[p], true);
    add("second.", p, second_[p], true);
    add("kept.", p, kept_[p], false);
  }
  out.push_back(source_of("steps", Tensor::of(Shape{static_cast<std::int64_t>(steps_.size())},
                                              std::span<const std::int32_t>(steps_))));
  return out;
}

std::vector<std::pair<std::size_t, Tensor>> Optimizer::moments() const {
  std::vector<std::pair<std::size_t, Tensor>> all;
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    for (const Tensor& moment : {first_[p], second_[p]}) {
      if (moment.defined()) all.emplace_back(p, moment);
    }
  }
  return all;
}

void Optimizer::check_state(const TensorSources& state) const {
  std::map<std::string_view, const TensorInfo*> found;
  for (const TensorSource& source : state) found[source.info.name] = &source.info;
  for (const TensorSource& source : this->state()) {
    const TensorInfo& expected = source.info;
    const auto it = found.find(expected.name);
    if (it == found.end()) {
      throw Error(fmt::format("optimizer state: tensor '{}' is missing", expected.name));
    }
    if (it->second->shape != expected.shape || it->second->dtype != expected.dtype) {
      throw Error(fmt::format("optimizer state: tensor '{}' must be {} {}, got {} {}",
                              expected.name, dtype_name(expected.dtype), expected.shape.str(),
                              dtype_name(it->second->dtype), it->second->shape.str()));
    }
    found.erase(it);
  }
  if (!found.empty()) {
    throw Error(fmt::format("optimizer state: tensor '{}' is unknown", found.begin()->first));
  }
}

void Optimizer::load_state(const TensorSources& state) {
  check_state(state);
  std::map<std::string_view, const TensorSource*> by_name;
  for (const TensorSource& source : state) by_name[source.info.name] = &source;
  const auto take = [&](const std::string& kind, std::size_t p, const Tensor& tensor) {
    if (!tensor.defined()) return;
    const Parameter& parameter = parameters_[p];
    const Tensor whole = parameter.in_memory(by_name.at(kind + parameter.name)->make());
    // A shard's moments are a part of them.
    const std::int64_t skipped =
        tensor.elements() == whole.elements() ? 0 : range(p, shard_.index).begin;
    std::copy_n(whole.data<float>() + skipped, tensor.elements(), tensor.data<float>());
  };
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    take(adaptive() ? "first." : "momentum.", p, first_[p]);
    take("second.", p, second_[p]);
    take("kept.", p, kept_[p]);
  }
  const Tensor counts = by_name.at("steps")->make();
  const auto steps = counts.span<std::int32_t>();
  std::copy(steps.begin(), steps.end(), steps_.begin());
}

double clip_coefficient(double norm, double clip) {
  return clip == 0 ? 1 : std::min(1.0, clip / (norm + 1e-6));
}

}  // namespace sluice
