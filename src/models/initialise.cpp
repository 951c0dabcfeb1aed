#include "initialise.hpp"

#include <cmath>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

#include "sluice/nn/init.hpp"
#include "sluice/nn/unit_layer.hpp"
#include "sluice/tensor/tensor.hpp"

namespace sluice {
namespace {

/// Behind the streams that layers draw from.
constexpr std::uint32_t kFirstStream = 1U << 20;
constexpr std::uint32_t kStreamsPerWeight = 16;

/// A weight of the stack: rows of each block, and the gain of what it feeds.
struct Role {
  std::int64_t rows = 0;
  double gain = 1;
};

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

bool is_weight(const Parameter& parameter, const Shape& file_shape) {
  const std::string_view name = parameter.name;
  const bool of_stack = name.starts_with("layers.") || name.starts_with("blocks.");
  return of_stack && file_shape.rank() >= 2 && !name.ends_with("weight_g") &&
         !contains(name, "norm.") && !contains(name, ".unit.");
}

Role role_of(const ModelConfig& config, std::string_view name, const Shape& file_shape) {
  Role role{.rows = file_shape[0]};
  if (config.arch == "gcnn") {
    if (contains(name, ".projection.")) return role;
    const UnitSpec unit = parse_unit_spec(config.unit);
    role.gain = unit.gain();
    role.rows /= unit.inputs(1);
  } else if (config.arch == "transformer") {
    if (contains(name, "qkv")) role.rows = config.dim;
    if (contains(name, "ffn.in")) {
      const UnitSpec unit = parse_unit_spec(config.transformer.ffn);
      role.gain = unit.gain();
      role.rows /= unit.inputs(1);
    }
  } else {
    role.rows = config.recurrent.hidden;
    if (config.arch == "rnn") role.gain = calculate_gain(config.unit);
    if (config.arch == "indrnn") role.gain = calculate_gain("relu");
  }
  return role;
}

Tensor drawn(const std::string& init, Shape shape, DType dtype, double gain, InitKey key) {
  const Fans fans = fans_of(shape);
  if (init == "xavier") return xavier_normal(shape, dtype, fans, 1, key);
  if (init == "orthogonal") return orthogonal(shape, dtype, gain, key);
  return kaiming_normal(shape, dtype, fans, FanMode::in, gain, key);
}

/// A weight in the file's layout, block by block.
Tensor drawn_blocks(const ModelConfig& config, const Role& role, const Shape& shape, DType dtype,
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
      const Tensor part = drawn(config.init, block, dtype, role.gain,
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

void give(const Parameter& parameter, const Tensor& file) {
  parameter.variable.set_value(parameter.from_file ? parameter.from_file(file) : file);
}

}  // namespace

void initialise_stack(const ModelConfig& config, std::uint64_t seed, const Parameters& parameters) {
  if (config.init == "default" && config.init_scale == 1) return;
  std::uint32_t stream = kFirstStream;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const Parameter& parameter = parameters[i];
    const Tensor& value = parameter.variable.value();
    Tensor file = parameter.to_file ? parameter.to_file(value) : value.clone();
    if (!is_weight(parameter, file.shape())) continue;
    if (config.init != "default") {
      const Role role = role_of(config, parameter.name, file.shape());
      file = drawn_blocks(config, role, file.shape(), file.dtype(), {seed, stream});
      stream += kStreamsPerWeight;
    }
    change(file, [&](auto elements) {
      for (auto& x : elements) x *= static_cast<std::decay_t<decltype(x)>>(config.init_scale);
    });
    give(parameter, file);
    // The gains of weight normalisation come right behind the weight they are of.
    if (parameter.name.ends_with("weight_v")) give(parameters[i + 1], row_norms(file));
  }
}

}  // namespace sluice
