#include "sluice/nn/module.hpp"

namespace sluice {

std::int64_t parameter_count(const Parameters& parameters) {
  std::int64_t count = 0;
  for (const Parameter& parameter : parameters) {
    if (parameter.variable.requires_grad()) count += parameter.variable.value().elements();
  }
  return count;
}

}  // namespace sluice
