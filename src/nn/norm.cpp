#include "sluice/nn/norm.hpp"

#include <cstddef>

#include <fmt/format.h>

#include "sluice/autograd/norm.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"
#include "sluice/nn/init.hpp"

namespace sluice {

const EnumNames<NormKind>& enum_names(NormKind) {
  static const EnumNames<NormKind> names("norm", {{NormKind::none, "none"},
                                                  {NormKind::batch, "batch"},
                                                  {NormKind::layer, "layer"},
                                                  {NormKind::instance, "instance"},
                                                  {NormKind::group, "group"},
                                                  {NormKind::rms, "rms"}});
  return names;
}

std::vector<std::string> causal_norm_names() {
  std::vector<std::string> names = enum_names(NormKind{}).names();
  std::erase(names, name_of(NormKind::instance));
  return names;
}

Norm::Norm(NormKind kind, std::int64_t channels, const NormOptions& options, DType dtype)
    : kind_(kind), channels_(channels), options_(options) {
  if (channels < 1) {
    throw UsageError(fmt::format("norm: at least one channel is needed, got {}", channels));
  }
  if (kind == NormKind::instance && options.causal) {
    throw UsageError(
        "norm 'instance' pools over time, so that a language model would see the future; use "
        "layer, "
        "rms, group or batch instead");
  }
  if (kind == NormKind::group && (options.groups < 1 || channels % options.groups != 0)) {
    throw UsageError(
        fmt::format("norm 'group': the number of groups must divide the {} channels, "
                    "got {}",
                    channels, options.groups));
  }
  if (kind == NormKind::none) return;
  const Shape shape{channels};
  if (options.affine) {
    weight_ = Variable(constant(shape, dtype, 1), true);
    if (kind != NormKind::rms) bias_ = Variable(Tensor::zeros(shape, dtype), true);
  }
  if (kind == NormKind::batch) {
    running_mean_ = Variable(Tensor::zeros(shape, dtype));
    running_var_ = Variable(constant(shape, dtype, 1));
  }
}

Variable Norm::forward(const Variable& x, bool training) const {
  if (kind_ == NormKind::none) return x;
  const int rank = x.shape().rank();
  const bool image = rank == 4;
  if (rank < 2 || (image && options_.causal) || x.shape()[image ? 1 : -1] != channels_) {
    throw Error(fmt::format("norm '{}': expected x [R, {}]{} [B, T, {}]{}, got {}", name_of(kind_),
                            channels_, options_.causal ? " or" : ",", channels_,
                            options_.causal ? "" : fmt::format(" or [N, {}, H, W]", channels_),
                            x.shape().str()));
  }
  const double eps = options_.eps;
  switch (kind_) {
    case NormKind::batch:
      return batch_norm(x, weight_, bias_,
                        {running_mean_.value(), running_var_.value(), options_.momentum}, training,
                        eps);
    case NormKind::instance:
      return instance_norm(x, weight_, bias_, eps);
    case NormKind::group:
      return options_.causal ? position_norm(x, options_.groups, weight_, bias_, eps)
                             : group_norm(x, options_.groups, weight_, bias_, eps);
    case NormKind::rms:
      return image ? group_norm(x, 1, weight_, {}, eps, false) : rms_norm(x, weight_, eps);
    case NormKind::layer:
    case NormKind::none:
      break;
  }
  return image ? group_norm(x, 1, weight_, bias_, eps) : layer_norm(x, weight_, bias_, eps);
}

Tensor Norm::apply(const Tensor& x) const {
  const NoGrad no_grad;
  return forward(Variable(x), false).value();
}

Norm Norm::frozen(const FreezeOptions& options) const {
  Norm copy = *this;
  for (Variable* const each :
       {&copy.weight_, &copy.bias_, &copy.running_mean_, &copy.running_var_}) {
    if (each->defined()) *each = Variable(frozen_tensor(each->value(), options));
  }
  return copy;
}

void Norm::collect(Parameters& parameters, const std::string& prefix) const {
  const auto add = [&](const char* name, const Variable& variable) {
    if (variable.defined()) parameters.push_back({prefix + name, variable, {}, {}, false});
  };
  add("weight", weight_);
  add("bias", bias_);
  add("running_mean", running_mean_);
  add("running_var", running_var_);
}

Norm make_causal_norm(std::string_view name, std::int64_t channels, std::int64_t groups,
                      DType dtype) {
  NormOptions options;
  options.groups = groups;
  options.causal = true;
  return {parse_enum<NormKind>(name), channels, options, dtype};
}

}  // namespace sluice
