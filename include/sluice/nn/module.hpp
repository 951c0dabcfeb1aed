#pragma once
// Modules: named parameters, gathered without registration magic.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sluice/autograd/variable.hpp"
#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// How a weight of a stack is drawn when initial weights of another kind than its layer's own are
/// asked for (ModelConfig::init). Rows are the first dimension of the file's layout.
struct InitRole {
  /// Rows of each block that is drawn by itself, with fans of its own: one gate of a cell, one half
  /// of a gated projection. Divides the weight's rows.
  std::int64_t rows = 0;
  /// The gain of what the weight feeds (calculate_gain, unit_gain).
  double gain = 1;
  /// Name of the parameter that holds the lengths of the weight's rows (g of weight normalisation,
  /// which follows v); empty: none.
  std::string lengths = {};
};

/// A parameter as files and optimizers see it; one whose variable requires no gradient (running
/// statistics) is saved and loaded, not trained. `to_file` / `from_file` convert between the
/// internal layout and the file's (PyTorch's); identity when empty.
struct Parameter {
  std::string name;
  Variable variable;
  std::function<Tensor(const Tensor&)> to_file;
  std::function<Tensor(const Tensor&)> from_file;
  /// Whether weight decay applies (weights: yes; biases, gains and norms: no).
  bool decay = true;
  /// Of weights that ModelConfig::init and init_scale are about; none of embeddings, softmax
  /// layers, biases, norms, and what units learn.
  std::optional<InitRole> init = std::nullopt;
  /// With `to_file`: the shape of what it gives.
  Shape converted_shape = {};

  /// `tensor`, laid out as the variable, in the file's layout (itself where that is the same).
  Tensor in_file(const Tensor& tensor) const { return to_file ? to_file(tensor) : tensor; }
  /// `tensor` of a file laid out as the variable (itself where that is the same).
  Tensor in_memory(const Tensor& tensor) const { return from_file ? from_file(tensor) : tensor; }
  /// The shape of in_file(), without making it.
  const Shape& file_shape() const { return to_file ? converted_shape : variable.shape(); }
};
using Parameters = std::vector<Parameter>;

/// Number of trainable scalars.
std::int64_t parameter_count(const Parameters& parameters);

}  // namespace sluice
SLUICE_API_END
