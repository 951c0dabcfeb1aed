#include "sluice/models/detail/changed_vocabulary.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>

#include "sluice/base/error.hpp"
#include "sluice/models/architecture.hpp"

namespace sluice {
namespace {

/// Of each token, those of the vocabulary before that it was: itself, or what spelled it.
using TokenOrigins = std::vector<std::vector<TokenId>>;

TokenOrigins origins_of(const Tokenizer& before, const Tokenizer& now) {
  std::unordered_map<std::string, TokenId> known;
  for (TokenId id = 0; id < before.size(); ++id) known.emplace(before.token(id), id);
  TokenOrigins origins(static_cast<std::size_t>(now.size()));
  for (TokenId id = 0; id < now.size(); ++id) {
    std::vector<TokenId>& own = origins[static_cast<std::size_t>(id)];
    const auto found = known.find(now.token(id));
    if (found != known.end()) {
      own = {found->second};
    } else {
      before.encode(now.text_after(now.eos(), id), own);
    }
  }
  return origins;
}

/// Tokens from one place to another.
struct Range {
  std::int64_t begin = 0, end = 0;
};

/// Rows of the tokens `now` from those of the tokens `before`, [rows, ..]; rows behind those of
/// tokens stay.
Tensor changed_rows(const Tensor& rows, Range before, Range now, const TokenOrigins& origins) {
  const std::int64_t count = before.end - before.begin, wanted = now.end - now.begin;
  const std::int64_t width = rows.elements() / rows.dim(0);
  const std::int64_t more = rows.dim(0) - count;
  Tensor out = Tensor::zeros(rows.shape().with_dim(0, wanted + more));
  const auto add_mean = [&](std::int64_t row, const std::vector<std::int64_t>& of) {
    float* const to = out.data<float>() + row * width;
    for (const std::int64_t from : of) {
      const float* const source = rows.data<float>() + from * width;
      for (std::int64_t i = 0; i < width; ++i) to[i] += source[i];
    }
    if (of.size() == 1) return;
    for (std::int64_t i = 0; i < width; ++i) to[i] /= static_cast<float>(of.size());
  };
  std::vector<std::int64_t> all(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) all[static_cast<std::size_t>(i)] = i;
  for (std::int64_t row = 0; row < wanted; ++row) {
    std::vector<std::int64_t> of;
    for (const TokenId id : origins[static_cast<std::size_t>(now.begin + row)]) {
      if (id >= before.begin && id < before.end) of.push_back(id - before.begin);
    }
    add_mean(row, of.empty() ? all : of);
  }
  if (more > 0) {
    out.rows(wanted, wanted + more).copy_from(rows.rows(count, count + more));
  }
  return out;
}

/// Ends of bands, all tokens being one where the softmax is full.
std::vector<std::int64_t> band_ends(const ModelConfig& config) {
  std::vector<std::int64_t> ends = token_layers_options(config).cutoffs;
  ends.push_back(config.vocabulary);
  return ends;
}

/// The number behind `prefix` in a tensor's name that ends with `suffix`.
std::optional<std::size_t> number_in(std::string_view name, std::string_view prefix,
                                     std::string_view suffix) {
  if (!name.starts_with(prefix) || !name.ends_with(suffix)) return std::nullopt;
  if (name.size() <= prefix.size() + suffix.size()) return std::nullopt;
  const std::string_view digits =
      name.substr(prefix.size(), name.size() - prefix.size() - suffix.size());
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return number;
}

/// The tokens that rows of the tensor are of (nn/token_layers.hpp), where they are of some.
std::optional<Range> tokens_of(const std::string& name, const std::vector<std::int64_t>& ends) {
  const auto band = [&](std::size_t i) { return Range{i == 0 ? 0 : ends[i - 1], ends[i]}; };
  if (name == "embedding.weight" || name == "softmax.weight" || name == "softmax.bias") {
    return Range{0, ends.back()};
  }
  if (name == "softmax.head.weight" || name == "softmax.head.bias") return band(0);
  if (const auto tail = number_in(name, "softmax.tails.", ".output.weight")) {
    return band(*tail + 1);
  }
  if (const auto own = number_in(name, "embedding.bands.", ".weight")) return band(*own);
  return std::nullopt;
}

}  // namespace

std::vector<std::int64_t> changed_cutoffs(const ModelConfig& config, const Tokenizer& before,
                                          const Tokenizer& now) {
  std::unordered_map<std::string, TokenId> known;
  for (TokenId id = 0; id < before.size(); ++id) known.emplace(before.token(id), id);
  std::vector<std::int64_t> cutoffs;
  for (const std::int64_t end : config.cutoffs) {
    std::int64_t kept = 0;
    for (TokenId id = 0; id < now.size(); ++id) {
      const auto found = known.find(now.token(id));
      if (found != known.end() && found->second < end) ++kept;
    }
    const std::int64_t last = cutoffs.empty() ? 0 : cutoffs.back();
    if (kept == last || kept == now.size()) {
      throw Error(fmt::format(
          "none of the model's tokens {} to {} is left, which its adaptive softmax has a band for; "
          "leave the vocabulary as it is",
          kept == last ? last : end, kept == last ? end : config.vocabulary));
    }
    cutoffs.push_back(kept);
  }
  return cutoffs;
}

void load_for_vocabulary(const ModelDirectory& from, const Tokenizer& now, LanguageModel& model) {
  const LoadedModel before = from.load();
  const TokenOrigins origins = origins_of(*before.tokenizer, now);
  const std::vector<std::int64_t> old_ends = band_ends(before.model->config());
  const std::vector<std::int64_t> ends = band_ends(model.config());
  const Parameters& theirs = before.model->parameters();
  const Parameters& ours = model.parameters();
  const auto fits = [](const Parameter& a, const Parameter& b) { return a.name == b.name; };
  if (ends.size() != old_ends.size() ||
      !std::equal(theirs.begin(), theirs.end(), ours.begin(), ours.end(), fits)) {
    throw Error(
        fmt::format("the model in '{}' is another than that of the run", from.path().string()));
  }
  for (std::size_t i = 0; i < ours.size(); ++i) {
    Tensor value = theirs[i].variable.value();
    if (const auto tokens = tokens_of(ours[i].name, ends)) {
      value = changed_rows(value, *tokens_of(theirs[i].name, old_ends), *tokens, origins);
    }
    ours[i].variable.set_value(value);
  }
}

}  // namespace sluice
