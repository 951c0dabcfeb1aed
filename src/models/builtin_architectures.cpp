#include "builtin_architectures.hpp"

#include <utility>

#include "sluice/models/gcnn.hpp"
#include "sluice/models/recurrent.hpp"
#include "sluice/models/transformer.hpp"

namespace sluice {

std::vector<std::unique_ptr<const Architecture>> builtin_architectures() {
  std::vector<std::unique_ptr<const Architecture>> all;
  all.push_back(gcnn_architecture());
  for (auto& cell : recurrent_architectures()) all.push_back(std::move(cell));
  all.push_back(transformer_architecture());
  return all;
}

}  // namespace sluice
