// Initial weights, bit by bit: a seed stands for them, so nothing but a decision may change them.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "sluice/base/detail/json.hpp"
#include "sluice/base/file.hpp"
#include "sluice/models/language_model.hpp"
#include "support/json_documents.hpp"

namespace sluice {
namespace {

/// FNV-1a over names and elements, in the files' order and layout.
class Fingerprint {
 public:
  void add(std::string_view bytes) {
    for (const char byte : bytes) {
      value_ ^= static_cast<unsigned char>(byte);
      value_ *= 0x100000001B3U;
    }
  }
  std::string text() const { return fmt::format("{:016x}", value_); }

 private:
  std::uint64_t value_ = 0xCBF29CE484222325U;
};

std::string fingerprint(const nlohmann::json& json) {
  const auto model = make_model(read_model(value_of(json), {.where = "model config"}), 5);
  Fingerprint print;
  for (const Parameter& parameter : model->parameters()) {
    const Tensor& value = parameter.variable.value();
    const Tensor file = parameter.to_file ? parameter.to_file(value) : value;
    print.add(parameter.name);
    const auto elements = file.span<float>();
    print.add({reinterpret_cast<const char*>(elements.data()), elements.size_bytes()});
  }
  return print.text();
}

// The numbers are those of the program before initialisation asked parameters for their roles
// (2026-11).
TEST(Init, InitialWeightsAreWhatTheyWere) {
  const nlohmann::json inits[] = {{{"init", "default"}},
                                  {{"init", "default"}, {"init_scale", 0.75}},
                                  {{"init", "xavier"}, {"init_scale", 1.25}},
                                  {{"init", "kaiming"}},
                                  {{"init", "orthogonal"}}};
  const auto cases = nlohmann::json::parse(
      read_file(std::string(SLUICE_SOURCE_DIR) + "/tests/golden/initial_weights.json"));
  ASSERT_EQ(cases.size(), 14U);
  for (const auto& each : cases) {
    for (std::size_t i = 0; i < std::size(inits); ++i) {
      nlohmann::json model = each["model"];
      model.update(inits[i]);
      EXPECT_EQ(fingerprint(model), each["fingerprints"][i].get<std::string>()) << model.dump();
    }
  }
}

}  // namespace
}  // namespace sluice
