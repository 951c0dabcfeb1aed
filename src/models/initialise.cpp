#include "initialise.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <string>
#include <type_traits>

#include "sluice/nn/init.hpp"
#include "sluice/tensor/tensor.hpp"

namespace sluice {
namespace {

/// Behind the streams that layers draw from.
constexpr std::uint32_t kFirstStream = 1U << 20;
constexpr std::uint32_t kStreamsPerWeight = 16;

Tensor drawn(const std::string& init, Shape shape, DType dtype, double gain, InitKey key) {
  const Fans fans = fans_of(shape);
  if (init == "xavier") return xavier_normal(shape, dtype, fans, 1, key);
  if (init == "orthogonal") return orthogonal(shape, dtype, gain, key);
  return kaiming_normal(shape, dtype, fans, FanMode::in, gain, key);
}

/// A weight in the file's layout, block by block.
Tensor drawn_blocks(const std::string& init, const InitRole& role, const Shape& shape, DType dtype,
                    InitKey key) {
  Tensor all(shape, dtype);
  const std::int64_t blocks = shape[0] / role.rows;
  const std::size_t bytes =
      static_cast<std::size_t>(shape.elements() / blocks) * (dtype == DType::f64 ? 8 : 4);
  const Shape block =
      shape.rank() == 2 ? Shape{role.rows, shape[1]} : Shape{role.rows, shape[1], shape[2]};
  dispatch_float(dtype, [&](auto zero) {
    using T = decltype(zero);
    auto* out = reinterpret_cast<std::byte*>(all.data<T>());
    for (std::int64_t i = 0; i < blocks; ++i, out += bytes) {
      const Tensor part = drawn(init, block, dtype, role.gain,
                                {key.seed, key.stream + static_cast<std::uint32_t>(i)});
      std::memcpy(out, part.data<T>(), bytes);
    }
  });
  return all;
}

template <class Change>
void change(const Tensor& x, const Change& f) {
  dispatch_float(x.dtype(), [&](auto zero) { f(x.span<decltype(zero)>()); });
}

/// ‖v‖ of each row of [N, ..], as a weight_g of that layout.
Tensor row_norms(const Tensor& v) {
  const Shape shape = v.shape().rank() == 2 ? Shape{v.dim(0), 1} : Shape{v.dim(0), 1, 1};
  Tensor norms(shape, v.dtype());
  const std::int64_t length = v.elements() / v.dim(0);
  dispatch_float(v.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* row = v.data<T>();
    for (std::int64_t n = 0; n < v.dim(0); ++n, row += length) {
      double sum = 0;
      for (std::int64_t i = 0; i < length; ++i) {
        sum += static_cast<double>(row[i]) * static_cast<double>(row[i]);
      }
      norms.data<T>()[n] = static_cast<T>(std::sqrt(sum));
    }
  });
  return norms;
}

const Parameter& named(const Parameters& parameters, const std::string& name) {
  const auto found = std::find_if(parameters.begin(), parameters.end(),
                                  [&](const Parameter& each) { return each.name == name; });
  assert(found != parameters.end());
  return *found;
}

void give(const Parameter& parameter, const Tensor& file) {
  parameter.variable.set_value(parameter.in_memory(file));
}

}  // namespace

void initialise_stack(const ModelConfig& config, std::uint64_t seed, const Parameters& parameters) {
  if (config.init == "default" && config.init_scale == 1) return;
  std::uint32_t stream = kFirstStream;
  for (const Parameter& parameter : parameters) {
    if (!parameter.init) continue;
    const InitRole& role = *parameter.init;
    const Tensor& value = parameter.variable.value();
    Tensor file = parameter.to_file ? parameter.to_file(value) : value.clone();
    if (config.init != "default") {
      file = drawn_blocks(config.init, role, file.shape(), file.dtype(), {seed, stream});
      stream += kStreamsPerWeight;
    }
    change(file, [&](auto elements) {
      for (auto& x : elements) x *= static_cast<std::decay_t<decltype(x)>>(config.init_scale);
    });
    give(parameter, file);
    if (!role.lengths.empty()) give(named(parameters, role.lengths), row_norms(file));
  }
}

}  // namespace sluice
