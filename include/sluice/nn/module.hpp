#pragma once
// Modules: named parameters, gathered without registration magic.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "sluice/autograd/variable.hpp"

namespace sluice {

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
};
using Parameters = std::vector<Parameter>;

/// Number of trainable scalars.
std::int64_t parameter_count(const Parameters& parameters);

}  // namespace sluice
