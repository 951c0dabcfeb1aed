#pragma once
// A tiny model of each architecture.

#include <string>

#include "support/model_configs.hpp"
#include "training/support.hpp"

namespace sluice::training_test {

inline ModelConfig tiny_shape(const std::string& arch, const std::string& norm) {
  ModelConfig config = arch == "gcnn" ? tiny_config() : test::with_arch(tiny_config(), arch);
  config.norm = norm;
  config.groups = 2;
  if (arch == "gcnn") return config;
  if (arch != "transformer") {
    config.shape<RecurrentShape>().depth = 2;
    config.shape<RecurrentShape>().hidden = 12;
    return config;
  }
  config.shape<TransformerShape>() = {
      .depth = 2, .heads = 2, .window = 6, .ffn = "swiglu", .ffn_width = 16};
  return config;
}

}  // namespace sluice::training_test
