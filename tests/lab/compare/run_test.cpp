// The names of runs, by which finished ones are found again.

#include "sluice/lab/compare/run.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "sluice/base/detail/json.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/version.hpp"
#include "support/json_documents.hpp"

namespace sluice {
namespace {

using nlohmann::json;

std::string checksum_of(const json& document) {
  const std::string text = document.dump();
  return checksum_hex(text.data(), text.size());
}

TEST(RunHash, IsTheChecksumOfThisText) {
  const ModelConfig model("lstm");
  TrainConfig training;
  training.steps = 3;
  DataFacts data{
      .tokenizer = "7", .train = "a", .valid = "b", .train_tokens = 100, .valid_tokens = 10};
  json text = {{"version", library_version()},
               {"model", document_of(write_model(model))},
               {"training", document_of(write_fields(field_parts(training)))},
               {"threads", 2},
               {"data",
                {{"tokenizer", "7"},
                 {"train", "a"},
                 {"valid", "b"},
                 {"train_tokens", 100},
                 {"valid_tokens", 10}}}};
  EXPECT_EQ(run_hash(model, training, 2, data), checksum_of(text));
  EXPECT_NE(run_hash(model, training, 3, data), checksum_of(text));

  data.valid = std::nullopt;
  data.valid_tokens = 0;
  EXPECT_NE(run_hash(model, training, 2, data), checksum_of(text));
  text["data"]["valid"] = nullptr;
  text["data"]["valid_tokens"] = 0;
  EXPECT_EQ(run_hash(model, training, 2, data), checksum_of(text));
}

}  // namespace
}  // namespace sluice
