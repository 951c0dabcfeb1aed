#include "sluice/nn/init.hpp"

#include <cmath>

#include "sluice/base/parallel.hpp"
#include "sluice/base/random.hpp"

namespace sluice {
namespace {

// Step numbers of a run's random sequences count from 0; the initialisers' sequence is apart.
constexpr std::uint32_t kInitStep = 0xFFFFFFFF;

double activation_gain(Activation f) {
  switch (f) {
    case Activation::relu:
    case Activation::gelu:
    case Activation::gelu_tanh:
    case Activation::silu:
      return std::sqrt(2.0);
    case Activation::tanh:
      return 5.0 / 3.0;
    case Activation::identity:
    case Activation::sigmoid:
      break;
  }
  return 1.0;
}

}  // namespace

Tensor normal(Shape shape, DType dtype, double deviation, InitKey key) {
  if (!key.seed) return Tensor::zeros(shape, dtype);
  Tensor x(shape, dtype);
  const RandomKey random{*key.seed, key.stream, kInitStep};
  dispatch_float(dtype, [&](auto zero) {
    using T = decltype(zero);
    T* out = x.data<T>();
    parallel_for(x.elements(), 1024, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        out[i] = static_cast<T>(deviation * random.normal(static_cast<std::uint64_t>(i)));
      }
    });
  });
  return x;
}

double unit_gain(const Unit& unit) {
  if (!unit.gated) return activation_gain(unit.f);
  const bool sigmoid_gate = unit.f == Activation::sigmoid || unit.g == Activation::sigmoid;
  if (!sigmoid_gate) return std::sqrt(activation_gain(unit.f) * activation_gain(unit.g));
  // σ of a centred variate is near ½, so the other factor must be twice as large.
  const Activation other = unit.g == Activation::sigmoid ? unit.f : unit.g;
  return 2.0 * (other == Activation::tanh ? 1.0 : activation_gain(other));
}

Tensor kaiming_normal(Shape shape, DType dtype, std::int64_t fan_in, const Unit& unit,
                      InitKey key) {
  const double fan = static_cast<double>(fan_in > 0 ? fan_in : 1);
  return normal(shape, dtype, unit_gain(unit) / std::sqrt(fan), key);
}

}  // namespace sluice
