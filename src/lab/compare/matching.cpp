#include "sluice/lab/compare/matching.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <numeric>
#include <optional>
#include <vector>

#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"
#include "sluice/models/config.hpp"

namespace sluice {
namespace {

using nlohmann::json;

constexpr std::array<const char*, 3> match_names = {"width", "parameters", "flops"};
/// No layer may be wider (models/config.hpp).
constexpr std::int64_t widest_width = 65536;

std::string arch_of(const json& model) { return model.value("arch", "gcnn"); }

std::int64_t integer(const json& model, const char* field, std::int64_t otherwise = 0) {
  return model.value(field, otherwise);
}

/// The number all channels have to be a multiple of.
std::int64_t width_step(const json& model) {
  std::int64_t step = model.value("norm", "") == "group" ? integer(model, "groups", 1) : 1;
  if (arch_of(model) == "transformer") {
    const std::int64_t halves = model.value("positions", "rotary") == "rotary" ? 2 : 1;
    step = std::lcm(step, halves * integer(model, "heads", 1));
  }
  return step;
}

std::int64_t scaled_width(std::int64_t width, double factor, std::int64_t step) {
  const auto units = std::llround(static_cast<double>(width) * factor / static_cast<double>(step));
  return step * std::max(1LL, units);
}

std::int64_t widest(const json& model) {
  if (arch_of(model) != "gcnn") return std::max(integer(model, "hidden"), integer(model, "dim"));
  std::int64_t most = 1;
  for (const LayerSpec& layer : parse_layers(model.at("layers").get<std::string>())) {
    most = std::max(most, layer.channels);
  }
  return most;
}

/// The count of a model; none when there can be no such model.
std::optional<std::int64_t> count_if_valid(const json& model, MatchBy by) {
  try {
    model.get<ModelConfig>().validate();
    return match_count(model, by);
  } catch (const Error&) {
    return std::nullopt;
  }
}

double relative_error(std::int64_t count, std::int64_t target) {
  return static_cast<double>(count - target) / static_cast<double>(target);
}

/// The least n in [low, high] whose count is at least the target; high when none is. Counts grow
/// with n; what is no model is taken to be too small.
template <class Build>
std::int64_t least_reaching(std::int64_t low, std::int64_t high, std::int64_t target, MatchBy by,
                            Build&& build) {
  while (low < high) {
    const std::int64_t middle = low + (high - low) / 2;
    if (count_if_valid(build(middle), by).value_or(0) >= target) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

/// The best of the models it is shown.
class Nearest {
 public:
  Nearest(MatchBy by, std::int64_t target) : by_(by), target_(target) {}

  void show(json model, double factor) {
    const std::optional<std::int64_t> count = count_if_valid(model, by_);
    if (!count) return;
    const double error = relative_error(*count, target_);
    if (best_ && std::abs(error) >= std::abs(best_->error)) return;
    best_ = Match{std::move(model), factor, *count, error, std::abs(error) <= match_tolerance};
  }
  bool matched() const { return best_ && best_->matched; }
  const std::optional<Match>& best() const { return best_; }

 private:
  MatchBy by_;
  std::int64_t target_;
  std::optional<Match> best_;
};

/// The width that may be set apart from the others; null: none.
const char* fine_width(const json& model) {
  if (arch_of(model) == "transformer") return "ffn_width";
  return model.value("tie", false) ? nullptr : "dim";
}

/// Shows the two models around the target that differ from `model` in one width alone.
void tune(Nearest& nearest, const json& model, double factor, MatchBy by, std::int64_t target) {
  const char* field = fine_width(model);
  if (field == nullptr) return;
  const std::int64_t step = std::string_view(field) == "dim" ? width_step(model) : 1;
  const auto with = [&](std::int64_t units) {
    json changed = model;
    changed[field] = units * step;
    return changed;
  };
  // Not further than twice or half the width it has: the models are to stay of one kind.
  const std::int64_t units = std::max<std::int64_t>(1, integer(model, field) / step);
  const std::int64_t low = std::max<std::int64_t>(1, units / 2);
  const std::int64_t found = least_reaching(low, 2 * units, target, by, with);
  for (std::int64_t n = std::max(low, found - 1); n <= found + 1; ++n) {
    nearest.show(with(n), factor);
  }
}

}  // namespace

std::string match_name(MatchBy by) { return match_names[static_cast<std::size_t>(by)]; }

MatchBy parse_match(const std::string& name) {
  const std::vector<std::string> known(match_names.begin(), match_names.end());
  return static_cast<MatchBy>(parse_name("match", name, known));
}

std::int64_t flops_per_token(const json& model) {
  const auto config = model.get<ModelConfig>();
  // With vocabularies of one and two tokens, all that is not the stack's is V·(dim + width + 1).
  const auto count_with = [&](std::int64_t vocabulary) {
    ModelConfig bare = config;
    bare.vocabulary = vocabulary;
    bare.softmax = "full";
    bare.cutoffs.clear();
    bare.tie = false;
    return bare.parameter_count();
  };
  const std::int64_t per_token = count_with(2) - count_with(1);
  const std::int64_t stack = count_with(1) - per_token;
  const std::int64_t width = per_token - config.dim - 1;

  std::int64_t products = stack;
  if (arch_of(model) == "transformer") {
    products += 2 * integer(model, "depth") * integer(model, "window") * config.dim;
  }
  const std::int64_t outputs =
      config.softmax == "adaptive"
          ? config.cutoffs.front() + static_cast<std::int64_t>(config.cutoffs.size())
          : config.vocabulary;
  return 2 * (products + width * outputs);
}

json scaled(const json& model, double factor) {
  const std::int64_t step = width_step(model);
  json out = model;
  const auto scale = [&](const char* field, std::int64_t multiple) {
    out[field] = scaled_width(integer(model, field), factor, multiple);
  };
  const std::string arch = arch_of(model);
  if (arch == "gcnn") {
    auto layers = parse_layers(model.at("layers").get<std::string>());
    for (LayerSpec& layer : layers) layer.channels = scaled_width(layer.channels, factor, step);
    out["layers"] = layers_string(layers);
    scale("dim", 1);
  } else if (arch == "transformer") {
    scale("dim", step);
    scale("ffn_width", 1);
  } else {
    scale("hidden", step);
    scale("dim", step);
  }
  return out;
}

std::int64_t match_count(const json& model, MatchBy by) {
  return by == MatchBy::flops ? flops_per_token(model) : model.get<ModelConfig>().parameter_count();
}

Match match_model(const json& model, MatchBy by, std::int64_t target) {
  model.get<ModelConfig>().validate();
  Nearest untouched(by, target);
  untouched.show(model, 1);
  if (by == MatchBy::width || untouched.matched()) return *untouched.best();

  Nearest nearest(by, target);
  // A Transformer's feed-forward layers are what units change: their width alone may do.
  if (arch_of(model) == "transformer") tune(nearest, model, 1, by, target);
  if (nearest.matched()) return *nearest.best();

  const auto most = static_cast<double>(widest(model));
  const std::int64_t step = width_step(model);
  const auto factor = [&](std::int64_t units) { return static_cast<double>(units * step) / most; };
  const auto build = [&](std::int64_t units) { return scaled(model, factor(units)); };
  const std::int64_t found = least_reaching(1, widest_width / step, target, by, build);
  std::vector<Match> candidates;
  for (std::int64_t n = std::max<std::int64_t>(1, found - 2); n <= found + 1; ++n) {
    Nearest candidate(by, target);
    candidate.show(build(n), factor(n));
    if (candidate.best()) candidates.push_back(*candidate.best());
  }
  std::stable_sort(candidates.begin(), candidates.end(), [](const Match& a, const Match& b) {
    return std::abs(a.error) < std::abs(b.error);
  });
  for (const Match& candidate : candidates) nearest.show(candidate.model, candidate.factor);
  for (const Match& candidate : candidates) {
    if (nearest.matched()) break;
    tune(nearest, candidate.model, candidate.factor, by, target);
  }
  return nearest.best() ? *nearest.best() : *untouched.best();
}

std::string widths_string(const json& model) {
  std::string text;
  for (const char* field : {"layers", "depth", "hidden", "dim", "ffn_width"}) {
    const auto found = model.find(field);
    if (found == model.end()) continue;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", field,
                        found->is_string() ? found->get<std::string>() : found->dump());
  }
  return text;
}

}  // namespace sluice
