#include "harnesses.hpp"

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "in_memory.hpp"
#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/kernels/units.hpp"
#include "sluice/lab/claims/claim_results.hpp"
#include "sluice/lab/claims/claims.hpp"
#include "sluice/lab/compare/results.hpp"
#include "sluice/lab/inspect/inspection.hpp"
#include "sluice/lab/report/report.hpp"
#include "sluice/models/config.hpp"
#include "sluice/models/gcnn.hpp"
#include "sluice/models/model_directory.hpp"
#include "sluice/models/safetensors.hpp"
#include "sluice/text/tokenizer.hpp"
#include "sluice/training/detail/checkpoint.hpp"
#include "sluice/training/metrics.hpp"
#include "sluice/training/settings.hpp"

namespace sluice::fuzz {
namespace {

const FieldPlace place{.where = "input", .origin = FieldPlace::Origin::file};

void json(std::string_view bytes) {
  const Value value = parse_json(bytes, place);
  require(json_text(parse_json(json_text(value), place)) == json_text(value));
}

void safetensors(std::string_view bytes) {
  const InMemory file(bytes);
  const SafetensorsFile read(file.path());
  for (const TensorInfo& info : read.tensors()) static_cast<void>(read.read(info.name));
  read.check_data();
}

void checkpoint(std::string_view bytes) {
  const InMemory file(bytes);
  static_cast<void>(read_checkpoint_state(file.path()));
}

void config(std::string_view bytes) {
  const auto config = read_model(parse_json(bytes, place), place);
  config.validate();
  static_cast<void>(config.parameter_count());
  static_cast<void>(config.summary());
}

void model_directory(std::string_view bytes) {
  static_cast<void>(ModelDirectory(directory_with("config.json", bytes)).model_config());
}

void settings(std::string_view bytes) { static_cast<void>(read_settings(bytes, place).text()); }

void tokenizer_list(std::string_view bytes) {
  use_tokenizer(*load_tokenizer(directory_with("tokenizer.json", bytes)));
}
void tokenizer_subword(std::string_view bytes) {
  use_tokenizer(*load_tokenizer(directory_with("tokenizer.model", bytes)));
}

void metrics(std::string_view bytes) {
  const InMemory file(bytes);
  static_cast<void>(read_metrics(file.path()));
}

void results(std::string_view bytes) {
  const Results read = parse_results(bytes, "input");
  static_cast<void>(report_html({.results = &read}));
}

void inspection(std::string_view bytes) {
  const Inspection read = parse_inspection(bytes, "input");
  static_cast<void>(report_html({.inspection = &read}));
}

void claim_results(std::string_view bytes) {
  const ClaimResults read = parse_claim_results(bytes, "input");
  static_cast<void>(report_html({.claims = &read}));
}

void claim(std::string_view bytes) { static_cast<void>(parse_claim(bytes, "input")); }
void layers(std::string_view bytes) { static_cast<void>(parse_layers(bytes)); }
void unit(std::string_view bytes) { static_cast<void>(parse_unit(bytes)); }
void message(std::string_view bytes) { require(presentable(bytes).size() <= 460); }

}  // namespace

void require(bool holds) {
  if (!holds) std::abort();
}

void use_tokenizer(const Tokenizer& tokenizer) {
  const std::vector<TokenId> tokens = tokenizer.encode_text("the cat \xc3\xa9\n sat");
  for (const TokenId token : tokens) require(token >= 0 && token < tokenizer.size());
  static_cast<void>(tokenizer.decode(tokens));
  static_cast<void>(tokenizer.fingerprint());
}

const std::vector<Harness>& harnesses() {
  static const std::vector<Harness> all = {{"json", json},
                                           {"safetensors", safetensors},
                                           {"checkpoint", checkpoint},
                                           {"config", config},
                                           {"model_directory", model_directory},
                                           {"settings", settings},
                                           {"tokenizer_list", tokenizer_list},
                                           {"tokenizer_subword", tokenizer_subword},
                                           {"metrics", metrics},
                                           {"results", results},
                                           {"inspection", inspection},
                                           {"claim_results", claim_results},
                                           {"claim", claim},
                                           {"layers", layers},
                                           {"unit", unit},
                                           {"message", message},
                                           {"requests", requests},
                                           {"foreign_file", foreign_file},
                                           {"tokenizer_file", tokenizer_file},
                                           {"compressed_text", compressed_text},
                                           {"json_lines", json_lines},
                                           {"word_vectors", word_vectors},
                                           {"weights", weights},
                                           {"runtime_model", runtime_model},
                                           {"calibration", calibration},
                                           {"token_cache", token_cache},
                                           {"labelled_text", labelled_text},
                                           {"arpa", arpa},
                                           {"ngram_file", ngram_file},
                                           {"hypotheses", hypotheses},
                                           {"lines", lines}};
  return all;
}

void run(const std::string& name, std::string_view bytes) {
  const auto found = std::find_if(harnesses().begin(), harnesses().end(),
                                  [&](const Harness& harness) { return harness.name == name; });
  if (found == harnesses().end()) std::abort();
  try {
    found->run(bytes);
  } catch (const Error& error) {
    require(std::string_view(error.what()).size() <= 480);
  }
}

}  // namespace sluice::fuzz
