#pragma once
// Small models of every architecture.

#include <string_view>

#include "sluice/models/gcnn.hpp"
#include "sluice/models/recurrent.hpp"
#include "sluice/models/transformer.hpp"

namespace sluice::test {

/// A config of another architecture with the common fields of `like`, its own norm excepted.
inline ModelConfig with_arch(const ModelConfig& like, std::string_view arch) {
  ModelConfig config(arch);
  config.vocabulary = like.vocabulary;
  config.dim = like.dim;
  config.groups = like.groups;
  config.dropout = like.dropout;
  config.softmax = like.softmax;
  config.cutoffs = like.cutoffs;
  config.tie = like.tie;
  config.init = like.init;
  config.init_scale = like.init_scale;
  return config;
}

}  // namespace sluice::test
