#include "divergence.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "sluice/kernels/arithmetic.hpp"
#include "sluice/training/trainer.hpp"

namespace sluice {
namespace {

double sum_of_squares(const Tensor& tensor) {
  return kernels::sum_of_squares(tensor.data<float>(), static_cast<std::size_t>(tensor.elements()));
}

}  // namespace

NotFinite::NotFinite(const std::string& what, double value, bool gradients)
    : Error(fmt::format("{} is {}", what, std::isnan(value) ? "NaN" : "infinite")),
      gradients_(gradients) {}

void check_weights(const Parameters& parameters) {
  for (const Parameter& parameter : parameters) {
    if (!std::isfinite(sum_of_squares(parameter.variable.value()))) {
      throw NotFinite("a weight", std::numeric_limits<double>::quiet_NaN());
    }
  }
}

std::string suspect(const Parameters& parameters, bool gradients) {
  const Parameter* largest = nullptr;
  double most = -1;
  for (const Parameter& parameter : parameters) {
    const Tensor& grad = parameter.variable.grad();
    const double square = sum_of_squares(parameter.variable.value());
    if (!std::isfinite(square)) {
      return fmt::format("the first weights that are not finite are those of '{}'", parameter.name);
    }
    if (gradients && grad.defined() && !std::isfinite(sum_of_squares(grad))) {
      return fmt::format("the first gradient that is not finite is that of '{}'", parameter.name);
    }
    const double mean = square / static_cast<double>(parameter.variable.value().elements());
    if (mean > most) {
      most = mean;
      largest = &parameter;
    }
  }
  return fmt::format("all weights are finite, the largest are those of '{}' ({:.3g} on average)",
                     largest->name, std::sqrt(most));
}

void throw_diverged(const NotFinite& found, const Parameters& parameters, const DivergedStep& at) {
  throw DivergedError(fmt::format(
      "training diverged at step {}: {} with learning rate {:g} and clip {:g}; {}; the last good "
      "checkpoint, of step {}, is kept in '{}'; try a lower lr or a lower clip",
      at.step, found.what(), at.rate, at.clip, suspect(parameters, found.gradients()),
      at.saved_step, at.checkpoint.string()));
}

}  // namespace sluice
