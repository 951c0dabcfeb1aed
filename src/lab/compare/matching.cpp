#include "sluice/lab/compare/matching.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <vector>

#include "json_values.hpp"
#include "sluice/base/error.hpp"
#include "sluice/models/architecture.hpp"

namespace sluice {
namespace {

ModelWidths widths_of(ModelConfig& model) { return model.architecture().widths(model); }

std::int64_t scaled_width(const ModelWidth& width, double factor) {
  const auto units =
      std::llround(static_cast<double>(*width.value) * factor / static_cast<double>(width.step));
  return width.step * std::max(1LL, units);
}

/// The count of a model; none when there can be no such model.
std::optional<std::int64_t> count_if_valid(const ModelConfig& model, MatchBy by) {
  try {
    model.validate();
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

  void show(ModelConfig model, double factor) {
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

/// Shows the two models around the target that differ from `model` in one width alone.
void tune(Nearest& nearest, ModelConfig model, double factor, MatchBy by, std::int64_t target) {
  const std::optional<ModelWidth> apart = widths_of(model).apart;
  if (!apart) return;
  const std::int64_t step = apart->step;
  // Not further than twice or half the width it has: the models are to stay of one kind.
  const std::int64_t units = std::max<std::int64_t>(1, *apart->value / step);
  const auto with = [&](std::int64_t n) {
    ModelConfig changed = model;
    *widths_of(changed).apart->value = n * step;
    return changed;
  };
  const std::int64_t low = std::max<std::int64_t>(1, units / 2);
  const std::int64_t found = least_reaching(low, 2 * units, target, by, with);
  for (std::int64_t n = std::max(low, found - 1); n <= found + 1; ++n) {
    nearest.show(with(n), factor);
  }
}

}  // namespace

const EnumNames<MatchBy>& enum_names(MatchBy) {
  static const EnumNames<MatchBy> names(
      "match",
      {{MatchBy::width, "width"}, {MatchBy::parameters, "parameters"}, {MatchBy::flops, "flops"}});
  return names;
}

std::int64_t flops_per_token(const ModelConfig& model) {
  return 2 * (model.architecture().multiplications(model) + softmax_multiplications(model));
}

ModelConfig scaled(const ModelConfig& model, double factor) {
  ModelConfig out = model;
  for (const ModelWidth& width : widths_of(out).together) {
    *width.value = scaled_width(width, factor);
  }
  return out;
}

std::int64_t match_count(const ModelConfig& model, MatchBy by) {
  return by == MatchBy::flops ? flops_per_token(model) : model.parameter_count();
}

Match match_model(const ModelConfig& model, MatchBy by, std::int64_t target) {
  model.validate();
  Nearest untouched(by, target);
  untouched.show(model, 1);
  if (by == MatchBy::width || untouched.matched()) return *untouched.best();

  Nearest nearest(by, target);
  ModelConfig copy = model;
  const ModelWidths widths = widths_of(copy);
  if (widths.apart_first) tune(nearest, model, 1, by, target);
  if (nearest.matched()) return *nearest.best();

  const auto most = static_cast<double>(widths.widest);
  const std::int64_t step = widths.step;
  const auto factor = [&](std::int64_t units) { return static_cast<double>(units * step) / most; };
  const auto build = [&](std::int64_t units) { return scaled(model, factor(units)); };
  const std::int64_t found = least_reaching(1, kMostWidth / step, target, by, build);
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

std::string widths_string(const ModelConfig& model) {
  const std::vector<std::string> names = model.architecture().size_fields();
  const Value sizes = write_fields(field_parts(model), names);
  std::string text;
  for (const std::string& name : names) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, value_text(*sizes.find(name)));
  }
  return text;
}

}  // namespace sluice
