// Initial weights of other kinds than the architectures' own.

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "models/support.hpp"
#include "sluice/base/error.hpp"
#include "sluice/nn/unit_layer.hpp"

namespace sluice {
namespace {

using test::small_gcnn;
using test::small_recurrent;
using test::small_transformer;

/// Tensors of a model by name, in the file's layout.
std::map<std::string, Tensor> tensors_of(const ModelConfig& config, std::uint64_t seed = 1) {
  const auto model = make_model(config, seed);
  std::map<std::string, Tensor> tensors;
  for (const Parameter& parameter : model->parameters()) {
    const Tensor& value = parameter.variable.value();
    tensors[parameter.name] = parameter.to_file ? parameter.to_file(value) : value.clone();
  }
  return tensors;
}

double deviation(const float* values, std::int64_t count) {
  double sum = 0;
  double squares = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    sum += static_cast<double>(values[i]);
    squares += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  }
  const auto n = static_cast<double>(count);
  return std::sqrt(squares / n - (sum / n) * (sum / n));
}

/// Deviation of block `index` of `blocks` equal ones along the first dimension.
double block_deviation(const Tensor& tensor, std::int64_t index = 0, std::int64_t blocks = 1) {
  const std::int64_t count = tensor.elements() / blocks;
  return deviation(tensor.data<float>() + index * count, count);
}

bool equal(const Tensor& a, const Tensor& b) {
  return std::equal(a.span<float>().begin(), a.span<float>().end(), b.span<float>().begin(),
                    b.span<float>().end());
}

// 64 x 64 x 4 normal variates: their deviation is within 2.2% (4 sigma) of the true one.
constexpr double tolerance = 0.022;

void expect_near_relative(double value, double expected, const std::string& what) {
  EXPECT_NEAR(value / expected, 1, tolerance) << what;
}

TEST(Init, DeviationsAreXaviersAndKaimings) {
  ModelConfig config = small_gcnn("relu");
  config.shape<GcnnShape>().layers = parse_layers("[(64,4)]*2");
  config.dim = 64;
  config.norm = "none";
  config.init = "kaiming";
  const double fan_in = 64 * 4;
  const Tensor kaiming = tensors_of(config).at("layers.1.weight");
  expect_near_relative(block_deviation(kaiming), std::sqrt(2 / fan_in), "kaiming");
  config.init = "xavier";
  expect_near_relative(block_deviation(tensors_of(config).at("layers.1.weight")),
                       std::sqrt(2 / (fan_in + 64 * 4)), "xavier");
  config.init = "kaiming";
  config.init_scale = 3;
  const Tensor scaled = tensors_of(config).at("layers.1.weight");
  for (std::int64_t i = 0; i < scaled.elements(); ++i) {
    EXPECT_EQ(scaled.data<float>()[i], 3 * kaiming.data<float>()[i]);
  }
  // Halves of a gate are drawn apart, with the fans of one.
  config.shape<GcnnShape>().unit = "glu";
  config.init = "xavier";
  config.init_scale = 1;
  const Tensor halves = tensors_of(config).at("layers.1.weight");
  ASSERT_EQ(halves.dim(0), 128);
  for (const std::int64_t half : {0, 1}) {
    expect_near_relative(block_deviation(halves, half, 2), std::sqrt(2 / (fan_in + 64 * 4)), "glu");
  }
}

TEST(Init, OrthogonalBlocksAreOrthogonal) {
  ModelConfig config = small_recurrent("lstm");
  config.init = "orthogonal";
  const Tensor weight = tensors_of(config).at("layers.1.weight_hh");
  ASSERT_EQ(weight.dim(0), 64);
  ASSERT_EQ(weight.dim(1), 16);
  for (std::int64_t gate = 0; gate < 4; ++gate) {
    const float* block = weight.data<float>() + gate * 16 * 16;
    for (std::int64_t i = 0; i < 16; ++i) {
      for (std::int64_t j = 0; j <= i; ++j) {
        double product = 0;
        for (std::int64_t k = 0; k < 16; ++k) {
          product +=
              static_cast<double>(block[i * 16 + k]) * static_cast<double>(block[j * 16 + k]);
        }
        EXPECT_NEAR(product, i == j ? 1 : 0, 1e-6);
      }
    }
  }
}

TEST(Init, GainsOfWeightNormalisationFollow) {
  ModelConfig config = small_gcnn();
  config.init = "xavier";
  config.init_scale = 2;
  const auto tensors = tensors_of(config);
  int gains = 0;
  for (const auto& [name, gain] : tensors) {
    if (!name.ends_with("weight_g")) continue;
    ++gains;
    const Tensor& v = tensors.at(name.substr(0, name.size() - 1) + "v");
    const std::int64_t length = v.elements() / v.dim(0);
    for (std::int64_t n = 0; n < v.dim(0); ++n) {
      double squares = 0;
      for (std::int64_t i = 0; i < length; ++i) {
        const auto x = static_cast<double>(v.data<float>()[n * length + i]);
        squares += x * x;
      }
      EXPECT_NEAR(static_cast<double>(gain.data<float>()[n]), std::sqrt(squares), 1e-6);
    }
  }
  EXPECT_EQ(gains, 5);  // four layers, one projection of a residual
}

// What is not a weight of the stack stays, and "default" is what it was.
TEST(Init, OnlyTheStacksWeightsChange) {
  std::vector<ModelConfig> configs = {small_gcnn("prelu"), small_transformer()};
  for (const std::string arch : {"rnn", "lstm", "gru", "indrnn", "mut1"}) {
    configs.push_back(small_recurrent(arch));
  }
  configs.push_back(small_recurrent("lstm"));
  configs.back().norm = "layer";
  for (const ModelConfig& config : configs) {
    const auto before = tensors_of(config);
    for (const std::string& init : init_names()) {
      ModelConfig other = config;
      other.init = init;
      other.init_scale = init == "default" ? 2 : 1;
      const auto after = tensors_of(other);
      ASSERT_EQ(after.size(), before.size());
      int changed = 0;
      std::string last_weight;
      for (const auto& [name, tensor] : before) {
        const bool weight = (name.starts_with("layers.") || name.starts_with("blocks.")) &&
                            name.find("weight") != std::string::npos &&
                            name.find("norm.") == std::string::npos &&
                            name.find(".unit.") == std::string::npos &&
                            !(config.arch() == "indrnn" && name.ends_with("weight_hh"));
        EXPECT_EQ(equal(tensor, after.at(name)), !weight)
            << config.arch() << " " << init << " " << name;
        for (const float x : after.at(name).span<float>()) EXPECT_TRUE(std::isfinite(x));
        if (!weight) continue;
        ++changed;
        last_weight = name;
      }
      EXPECT_GT(changed, 1);
      // Another seed, other weights.
      const auto seeded = tensors_of(other, 2);
      EXPECT_FALSE(equal(seeded.at(last_weight), after.at(last_weight)));
    }
  }
}

TEST(Init, IsPartOfTheConfiguration) {
  ModelConfig config = small_gcnn();
  EXPECT_EQ(write_model(config).find("init"), nullptr);
  config.init = "xavier";
  config.init_scale = 0.1F;
  const Value object = write_model(config);
  EXPECT_EQ(*object.find("init"), Value("xavier"));
  EXPECT_EQ(*object.find("init_scale"), Value(0.1));
  EXPECT_EQ(write_model(read_model(object, {.where = "model config"})), object);
  config.init = "xaver";
  EXPECT_THROW(
      {
        try {
          config.validate();
        } catch (const UsageError& error) {
          EXPECT_NE(std::string(error.what()).find("did you mean xavier?"), std::string::npos);
          throw;
        }
      },
      UsageError);
  config.init = "xavier";
  for (const float scale : {0.0F, -1.0F, std::numeric_limits<float>::infinity(), std::nanf("")}) {
    config.init_scale = scale;
    EXPECT_THROW(config.validate(), UsageError) << scale;
  }
}

}  // namespace
}  // namespace sluice
