#include "model_argument.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <string_view>

#include "ranks.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/inference/ngram.hpp"
#include "sluice/models/model_directory.hpp"
#include "sluice/training/config.hpp"

namespace sluice::cli {
namespace {

ModelShare parse_share(const std::string& part, const std::string& text) {
  const std::size_t star = part.rfind('*');
  ModelShare share{.path = part.substr(0, star), .weight = {}};
  if (star != std::string::npos)
    share.weight = parse_number("the weight of " + in_quotes(share.path), part.substr(star + 1));
  if (!share.path.empty()) return share;
  throw UsageError(
      fmt::format("expected a model, or a mixture like 'A*0.6+B*0.4', got {}", in_quotes(text)));
}

/// `other` is the tokenizer of the first model of a mixture, or null.
LoadedPredictor load_one(const std::string& path, const FreezeOptions& options,
                         const std::shared_ptr<const Tokenizer>& other) {
  if (std::filesystem::is_regular_file(path) && NgramModel::is_ngram(path)) {
    const auto ngram = NgramModel::open(path);
    LoadedPredictor loaded{nullptr, other, nullptr, {}};
    if (!other) loaded.tokenizer = make_ngram_tokenizer(*ngram);
    loaded.predictor = make_predictor(ngram, *loaded.tokenizer);
    return loaded;
  }
  LoadedFrozenModel loaded = load_frozen_model(path, options);
  return {make_predictor(loaded.model), std::move(loaded.tokenizer), loaded.model, {loaded.model}};
}

}  // namespace

std::vector<const ModelConfig*> LoadedPredictor::configs() const {
  std::vector<const ModelConfig*> configs;
  for (const auto& each : models) configs.push_back(&each->config());
  return configs;
}

std::vector<ModelShare> parse_model_shares(const std::string& text) {
  if (std::filesystem::exists(text)) return {{.path = text, .weight = {}}};
  std::vector<ModelShare> shares;
  std::size_t weighted = 0;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('+', begin), text.size());
    shares.push_back(parse_share(text.substr(begin, end - begin), text));
    weighted += shares.back().weight ? 1 : 0;
    begin = end + 1;
  }
  if (weighted != 0 && weighted != shares.size()) {
    throw UsageError(fmt::format("{}: {} of {} models have a weight, expected all or none",
                                 in_quotes(text), weighted, shares.size()));
  }
  return shares;
}

std::vector<LoadedPredictor> load_predictors(const std::vector<ModelShare>& shares,
                                             const FreezeOptions& options) {
  // An n-gram takes any tokenizer of its words: the neural models' come first.
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    const bool file = std::filesystem::is_regular_file(shares[i].path);
    order.insert(file ? order.end() : order.begin(), i);
  }
  std::vector<LoadedPredictor> loaded(shares.size());
  std::shared_ptr<const Tokenizer> tokenizer;
  std::string first;
  for (const std::size_t i : order) {
    loaded[i] = load_one(shares[i].path, options, tokenizer);
    if (!tokenizer) {
      tokenizer = loaded[i].tokenizer;
      first = shares[i].path;
    }
    if (loaded[i].tokenizer->fingerprint() != tokenizer->fingerprint()) {
      throw Error(fmt::format(
          "'{}' and '{}' have different vocabularies; only models that share a tokenizer mix",
          first, shares[i].path));
    }
    loaded[i].tokenizer = tokenizer;
  }
  return loaded;
}

LoadedPredictor load_predictor(const std::string& text, const FreezeOptions& options) {
  const std::vector<ModelShare> shares = parse_model_shares(text);
  std::vector<LoadedPredictor> loaded = load_predictors(shares, options);
  if (loaded.size() == 1 && !shares.front().weight) return loaded.front();
  std::vector<MixturePart> parts;
  std::vector<std::shared_ptr<const FrozenModel>> models;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    const double equal = 1 / static_cast<double>(shares.size());
    parts.push_back({loaded[i].predictor, shares[i].weight.value_or(equal)});
    models.insert(models.end(), loaded[i].models.begin(), loaded[i].models.end());
  }
  return {make_mixture(std::move(parts)), loaded.front().tokenizer, nullptr, std::move(models)};
}

void check_same_model(const std::string& text) {
  if (ranks().alone()) return;
  Facts facts;
  const std::vector<ModelShare> shares = parse_model_shares(text);
  for (std::size_t i = 0; i < shares.size(); ++i) {
    const std::string number = i == 0 ? "" : fmt::format(" {}", i + 1);
    if (std::filesystem::is_regular_file(shares[i].path)) {
      facts.emplace_back("model" + number, file_checksum(shares[i].path));
    } else {
      for (const auto& [name, value] : ModelDirectory(shares[i].path).fingerprints()) {
        facts.emplace_back(name + number, value);
      }
    }
    if (shares[i].weight)
      facts.emplace_back("share" + number, fmt::format("{}", *shares[i].weight));
  }
  shared_work().check_same(facts);
}

std::shared_ptr<const FrozenModel> conditioned(const std::shared_ptr<const FrozenModel>& model,
                                               const std::string& label) {
  return label.empty() ? model : model->conditioned(model->config().label(label));
}

LoadedPredictor ModelFlags::load(ConvPath conv) const {
  LoadedPredictor loaded =
      load_predictor(model, {.precision = parse_enum<WeightPrecision>(precision), .conv = conv});
  if (condition.empty()) return loaded;
  if (!loaded.model) {
    throw UsageError("--condition is about one model by itself, neither an n-gram nor a mixture");
  }
  loaded.model = conditioned(loaded.model, condition);
  loaded.predictor = make_predictor(loaded.model);
  return loaded;
}

void add_condition_flag(CLI::App& app, std::string& label) {
  add_text(app, "--condition", label,
           "of a model that sluice train --condition made: the label of the text (default: "
           "unknown)",
           "LABEL");
}

void add_precision_flag(CLI::App& app, std::string& precision) {
  add_text(
      app, "--precision", precision,
      "f32, bf16 (bfloat16 products with float32 sums) or int8 (8-bit weights); a runtime model "
      "has its own (default f32)",
      "NAME");
}

void add_model_flags(CLI::App& app, ModelFlags& flags) {
  add_text(app, "MODEL", flags.model,
           "directory that sluice train made, n-gram (an ARPA file, or what sluice arpa made of "
           "one), or "
           "several of one vocabulary mixed: 'A*0.6+B*0.4'",
           "")
      .required();
  add_precision_flag(app, flags.precision);
  add_threads(app);
}

}  // namespace sluice::cli
