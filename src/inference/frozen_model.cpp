#include "sluice/inference/frozen_model.hpp"

#include <fmt/format.h>

#include "sluice/base/error.hpp"
#include "sluice/inference/runtime_model.hpp"
#include "sluice/inference/session.hpp"
#include "sluice/models/model_directory.hpp"

namespace sluice {

FrozenModel::FrozenModel(const LanguageModel& model, const FreezeOptions& options)
    : config_(model.config()), receptive_field_(model.receptive_field()) {
  for (const Parameter& parameter : model.parameters()) {
    if (parameter.variable.dtype() == DType::f32) continue;
    throw Error(fmt::format("freeze: the model's '{}' is {}, expected {}; make the model of {}",
                            parameter.name, dtype_name(parameter.variable.dtype()),
                            dtype_name(DType::f32), dtype_name(DType::f32)));
  }
  check_conv_path(config_, options.conv);
  tokens_ = model.freeze_tokens(options);
  stack_ = model.freeze_stack(options);
}

std::shared_ptr<const FrozenModel> FrozenModel::freeze(const LanguageModel& model,
                                                       FreezeOptions options) {
  options.copy = true;
  return std::shared_ptr<const FrozenModel>(new FrozenModel(model, options));
}

std::shared_ptr<const FrozenModel> FrozenModel::freeze(std::unique_ptr<const LanguageModel> model,
                                                       FreezeOptions options) {
  options.copy = false;
  return std::shared_ptr<const FrozenModel>(new FrozenModel(*model, options));
}

std::shared_ptr<const FrozenModel> FrozenModel::conditioned(std::int32_t label) const {
  const auto labels = static_cast<std::int32_t>(config_.labels.size());
  if (label < 0 || label > labels) {
    throw UsageError(
        fmt::format("model: label {} asked for, expected 0 (unknown) to {}", label, labels));
  }
  const std::shared_ptr<FrozenModel> other(new FrozenModel(*this));
  other->label_ = label;
  return other;
}

Session FrozenModel::session() const { return Session(shared_from_this()); }

Tensor FrozenModel::hidden(std::span<const std::int32_t> ids, const PackedRows& rows,
                           std::span<StackState* const> states, const RowLabels& labels) const {
  if (static_cast<std::int64_t>(ids.size()) != rows.rows()) {
    throw Error(
        fmt::format("model: {} tokens given for texts of {} rows in all", ids.size(), rows.rows()));
  }
  return stack_->forward(tokens_->embed(ids), rows, states, labels);
}

std::vector<double> FrozenModel::nll(const Tensor& hidden,
                                     std::span<const std::int32_t> targets) const {
  const Shape expected{static_cast<std::int64_t>(targets.size()), stack_->outputs()};
  if (!(hidden.shape() == expected)) {
    throw Error(fmt::format("model: hidden {} given for {} targets, expected {}",
                            hidden.shape().str(), targets.size(), expected.str()));
  }
  return tokens_->nll(hidden, targets);
}

Tensor FrozenModel::log_probabilities(const Tensor& hidden) const {
  if (hidden.shape().rank() != 2 || hidden.dim(1) != stack_->outputs()) {
    throw Error(fmt::format("model: hidden {} given, expected rows of {}", hidden.shape().str(),
                            stack_->outputs()));
  }
  return tokens_->log_probabilities(hidden);
}

LoadedFrozenModel load_frozen_model(const std::filesystem::path& directory,
                                    const FreezeOptions& options) {
  const ModelDirectory files(directory);
  if (files.has_runtime()) {
    if (options.precision != WeightPrecision::f32) {
      const WeightPrecision has = runtime_info(files).precision;
      if (options.precision != has) {
        throw Error(fmt::format(
            "'{}' holds weights of {}, which cannot become {}: use it without a precision, or the "
            "model that it was made from",
            directory.string(), name_of(has), name_of(options.precision)));
      }
    }
    return load_runtime_model(files);
  }
  LoadedModel loaded = files.load();
  LoadedFrozenModel frozen;
  frozen.tokenizer = std::move(loaded.tokenizer);
  frozen.model = FrozenModel::freeze(std::move(loaded.model), options);
  return frozen;
}

}  // namespace sluice
