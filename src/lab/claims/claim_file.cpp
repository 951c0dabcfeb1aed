// Claims as files: reading and checking them.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <set>
#include <utility>

#include "claims/claim_reader.hpp"
#include "json_values.hpp"
#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/names.hpp"
#include "sluice/base/numbers.hpp"
#include "sluice/lab/claims/claims.hpp"
#include "sluice/lab/claims/measures.hpp"
#include "sluice/lab/lab_directory.hpp"
#include "sluice/models/model_directory.hpp"
#include "sluice/text/tokenizer.hpp"
#include "sluice/training/defaults.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr int claim_format_version = 1;
constexpr std::int64_t most_tokens = 1'000'000'000'000;
constexpr std::size_t most_rates = 100;
constexpr std::int64_t least_validation = 1000;
/// A stand-in for the size of the text where the checks do not depend on it.
constexpr std::int64_t any_tokens = std::int64_t{1} << 30;

bool names_directory(const std::string& name) {
  constexpr std::string_view also = "-_";
  return !name.empty() && std::all_of(name.begin(), name.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           also.find(c) != std::string_view::npos;
  });
}

std::vector<double> read_rates(const ClaimNode& node) {
  std::vector<double> rates;
  for (const ClaimNode& rate : node.elements()) {
    if (!(rate.number() > 0)) rate.refuse("learning rates must be above 0");
    rates.push_back(rate.number());
  }
  if (rates.size() > most_rates) node.refuse(fmt::format("more than {} rates", most_rates));
  std::sort(rates.begin(), rates.end());
  rates.erase(std::unique(rates.begin(), rates.end()), rates.end());
  return rates;
}

/// The values of a varied field.
Variation read_variation(const ClaimNode& node) {
  node.list();
  std::vector<std::string> values;
  for (const ClaimNode& value : node.elements()) values.push_back(value_text(value.value()));
  return node.checked([&] { return make_variation(node.key(), values); });
}

/// Throws unless every variant's configuration is one that could be trained.
void check_variants(const ClaimNode& node, const ClaimComparison& comparison) {
  node.checked([&] {
    Notes ignored;
    for (const Variant& variant : all_variants(comparison.vary)) {
      const VariantSettings settings =
          apply_variant({comparison.model, comparison.training}, variant);
      settings.model.check();
      choose_training(settings.training, any_tokens, ignored);
    }
  });
}

/// Refuses fields of "training" that a claim states elsewhere.
void refuse_budget(const ClaimNode& training) {
  for (const char* field : {"tokens", "steps", "epochs", "minutes", "seed", "lr"}) {
    if (const auto given = training.find(field)) {
      given->refuse(
          "the budget is in 'tokens', the learning rates in 'rates', and seeds count from 1");
    }
  }
}

const FieldPlace model_place{.where = "model config"};
const FieldPlace training_place{.where = "training config"};

/// Takes over what "model" and "training" objects say.
void read_model(ModelRequest& model, const Value& fields) {
  model.overlay(read_model_request(fields, model_place, model.architecture()), model_place);
  if (model.fields.values.documents != DocumentEnd::none) {
    throw UsageError("claims measure models of a text that is one document; leave documents out");
  }
}
void read_training(Given<TrainConfig>& training, const Value& fields) {
  training.read(fields, training_place);
}

ClaimComparison read_comparison(const ClaimNode& node, const Value* quick) {
  node.only({"model", "training", "tokens", "vary", "match", "seeds", "rates", "pilots", "refine"});
  ClaimComparison comparison;
  comparison.name = node.key();
  if (!names_directory(comparison.name)) {
    node.refuse("a comparison's name is a directory's, too: letters, digits, - and _");
  }
  if (const auto model = node.find("model")) {
    model->checked([&] { read_model(comparison.model, model->value()); });
  }
  if (const auto training = node.find("training")) {
    refuse_budget(*training);
    training->checked([&] { read_training(comparison.training, training->value()); });
  }
  if (quick != nullptr) {
    node.checked([&] {
      if (const Value* const model = quick->find("model")) read_model(comparison.model, *model);
      if (const Value* const training = quick->find("training")) {
        read_training(comparison.training, *training);
      }
    });
  }
  comparison.training.set("tokens", node.at("tokens").integer(1, most_tokens), training_place);
  for (const ClaimNode& field : node.at("vary").elements()) {
    comparison.vary.push_back(read_variation(field));
  }
  if (const auto match = node.find("match")) {
    comparison.match = match->checked([&] { return parse_enum<MatchBy>(match->text()); });
  }
  comparison.seeds = node.at("seeds").integer(1, most_compare_seeds);
  comparison.rates = read_rates(node.at("rates"));
  if (const auto pilots = node.find("pilots")) {
    comparison.search.pilots = pilots->integer(0, most_rate_pilots);
  }
  if (const auto refine = node.find("refine")) {
    comparison.search.refine = refine->integer(0, most_rate_refinements);
  }
  check_variants(node, comparison);
  return comparison;
}

/// The claim with the fields of "quick" in place of those of its comparisons and text.
Value with_quick(const Value& all, const ClaimNode& quick) {
  quick.only({"model", "training", "tokens", "seeds", "rates", "pilots", "validation", "minutes"});
  if (const auto training = quick.find("training")) refuse_budget(*training);
  Value changed = all;
  if (const auto minutes = quick.find("minutes")) changed.set("minutes", minutes->value());
  if (const auto validation = quick.find("validation")) {
    Value text = *all.find("text");
    text.set("validation", validation->value());
    changed.set("text", std::move(text));
  }
  Value comparisons = Value::Object();
  for (auto [name, comparison] : *all.find("comparisons")->as<Value::Object>()) {
    // Rates are not searched for unless it says so.
    comparison.set("pilots", 0);
    for (const char* field : {"tokens", "seeds", "rates", "pilots"}) {
      if (const auto value = quick.find(field)) comparison.set(field, value->value());
    }
    comparisons.set(name, std::move(comparison));
  }
  changed.set("comparisons", std::move(comparisons));
  return changed;
}

class Reader {
 public:
  Reader(Claim& claim, const ClaimNode& root) : claim_(claim), root_(root) {}

  void read(const Value* quick) {
    root_.only({"format_version", "title", "statement", "plain", "source", "limits", "minutes",
                "text", "most_seeds", "comparisons", "quick", "parts"});
    const ClaimNode version = root_.at("format_version");
    if (version.integer(1, std::numeric_limits<int>::max()) > claim_format_version) {
      version.refuse(fmt::format("this version reads claims of format {}", claim_format_version));
    }
    claim_.title = root_.at("title").text();
    claim_.statement = root_.at("statement").text();
    claim_.source = root_.at("source").text();
    if (const auto plain = root_.find("plain")) claim_.plain = plain->text();
    if (const auto limits = root_.find("limits")) claim_.limits = limits->text();
    if (const auto minutes = root_.find("minutes")) claim_.minutes = minutes->number();
    read_text(root_.at("text"));
    if (const auto most = root_.find("most_seeds")) {
      claim_.most_seeds = most->integer(1, most_compare_seeds);
    }
    root_.at("comparisons").object();
    for (const ClaimNode& comparison : root_.at("comparisons").elements()) {
      claim_.comparisons.push_back(read_comparison(comparison, quick));
    }
    root_.at("parts").list();
    for (const ClaimNode& part : root_.at("parts").elements()) {
      claim_.parts.push_back(read_part(part));
    }
  }

 private:
  void read_text(const ClaimNode& node) {
    node.only({"tokenizer", "vocabulary", "min_count", "validation", "task"});
    const ClaimNode kind = node.at("tokenizer");
    const FieldPlace place{.where = "tokenizer config"};
    kind.checked([&] { claim_.tokenizer.set("kind", kind.text(), place); });
    for (const char* field : {"vocabulary", "min_count"}) {
      if (const auto value = node.find(field)) {
        value->checked([&] { claim_.tokenizer.set(field, value->integer(1, most_tokens), place); });
      }
    }
    claim_.validation = node.at("validation").integer(least_validation, most_tokens);
    if (const auto task = node.find("task")) read_task(*task);
  }

  void read_task(const ClaimNode& node) {
    node.only({"name", "lines", "length", "seed"});
    TaskOptions task;
    const ClaimNode name = node.at("name");
    task.task = name.checked([&] { return parse_enum<Task>(name.text()); });
    if (const auto lines = node.find("lines")) task.lines = lines->integer(1, most_task_lines);
    if (const auto length = node.find("length")) task.length = length->integer(1, most_task_length);
    if (const auto seed = node.find("seed")) {
      task.seed = static_cast<std::uint64_t>(seed->integer(0, most_tokens));
    }
    node.checked([&] { check_task(task); });
    claim_.task = task;
  }

  ClaimPart read_part(const ClaimNode& node) const {
    node.only({"statement", "measure", "at", "a", "b", "effect", "expect", "threshold", "statistic",
               "bound"});
    ClaimPart part;
    part.statement = node.at("statement").text();
    const ClaimNode name = node.at("measure");
    const Measure& measure =
        name.checked([&]() -> const Measure& { return find_measure(name.text()); });
    part.measure = measure.name;
    part.at = measure.at;
    if (const auto at = node.find("at")) {
      if (!measure.has_at) at->refuse(fmt::format("'{}' has no parameter", measure.name));
      part.at = static_cast<double>(at->integer(measure.least_at, measure.most_at));
    }
    part.a = read_side(node.at("a"), measure);
    if (const auto b = node.find("b")) part.b = read_side(*b, measure);
    if (measure.of_pair && !part.b) {
      node.refuse(
          fmt::format("'{}' holds two sides against each other: 'b' is missing", measure.name));
    }
    check_pairs(node, part);
    part.effect = read_effect(node, measure, part);
    const ClaimNode expect = node.at("expect");
    part.expect = expect.checked([&] { return parse_enum<Expect>(expect.text()); });
    read_threshold(node, part);
    if (const auto statistic = node.find("statistic")) {
      part.statistic = statistic->checked([&] { return parse_enum<Statistic>(statistic->text()); });
      if (part.effect == EffectKind::share) {
        statistic->refuse("shares have intervals of their own");
      }
    }
    read_bound(node, part);
    return part;
  }

  static double no_effect(const ClaimPart& part) {
    return part.effect == EffectKind::ratio ? 1 : 0;
  }

  static void read_threshold(const ClaimNode& node, ClaimPart& part) {
    part.threshold = no_effect(part);
    const auto threshold = node.find("threshold");
    if (threshold) part.threshold = threshold->number();
    if (part.effect == EffectKind::ratio && !(part.threshold > 0)) {
      node.at("threshold").refuse("a ratio's threshold must be above 0");
    }
    if (part.expect == Expect::within && !(part.threshold > no_effect(part))) {
      node.refuse("'within' needs a 'threshold': how far from no effect is near enough");
    }
  }

  static void read_bound(const ClaimNode& node, ClaimPart& part) {
    const auto bound = node.find("bound");
    if (!bound) return;
    part.bound = bound->number();
    if (part.expect == Expect::within) bound->refuse("'within' has its bound in 'threshold'");
    if (!part.b || part.threshold != no_effect(part)) {
      bound->refuse("only for two sides of which one is to be above or below the other");
    }
    if (!(*part.bound > no_effect(part))) {
      bound->refuse(fmt::format("expected a number above {}", no_effect(part)));
    }
  }

  static EffectKind read_effect(const ClaimNode& node, const Measure& measure,
                                const ClaimPart& part) {
    const auto given = node.find("effect");
    EffectKind kind =
        part.b || measure.effect == EffectKind::share ? measure.effect : EffectKind::difference;
    const bool less_another = part.a.minus || (part.b && part.b->minus);
    if (less_another) kind = EffectKind::difference;
    if (!given) return kind;
    const std::string name = given->text();
    if (name != "difference" && name != "ratio") {
      given->refuse(fmt::format("expected difference or ratio, got '{}'", name));
    }
    if (measure.effect == EffectKind::share) given->refuse("shares are compared by difference");
    if (name == "ratio" && (!part.b || less_another)) {
      given->refuse("a ratio needs two sides, and neither less another");
    }
    return name == "ratio" ? EffectKind::ratio : EffectKind::difference;
  }

  /// Sides are compared seed by seed.
  void check_pairs(const ClaimNode& node, const ClaimPart& part) const {
    const ClaimComparison& first = claim_.comparison(part.a.of.comparison);
    const auto same = [&](const std::optional<ClaimSelection>& selection) {
      if (!selection) return true;
      const ClaimComparison& other = claim_.comparison(selection->comparison);
      return other.seeds == first.seeds && other.search.pilots == first.search.pilots;
    };
    if (same(part.a.minus) && (!part.b || (same(part.b->of) && same(part.b->minus)))) return;
    node.refuse("its sides are of comparisons with different numbers of seeds, or of pilots");
  }

  ClaimSide read_side(const ClaimNode& node, const Measure& measure) const {
    ClaimSide side;
    node.only({"comparison", "variant", "rate", "minus"});
    side.of = read_selection(node);
    if (const auto minus = node.find("minus")) {
      minus->only({"comparison", "variant", "rate"});
      if (measure.of_pair || measure.effect == EffectKind::share) {
        minus->refuse(fmt::format("'{}' cannot be taken from another", measure.name));
      }
      side.minus = read_selection(*minus);
    }
    const ClaimComparison& comparison = claim_.comparison(side.of.comparison);
    if ((measure.of_pair || measure.effect == EffectKind::share) &&
        selected(side.of, comparison) != 1) {
      node.at("variant").refuse(
          fmt::format("'{}' needs a single variant on each side", measure.name));
    }
    return side;
  }

  static std::size_t selected(const ClaimSelection& selection, const ClaimComparison& comparison) {
    const std::vector<Variant> variants = all_variants(comparison.vary);
    return static_cast<std::size_t>(
        std::count_if(variants.begin(), variants.end(),
                      [&](const Variant& variant) { return selects(selection.variant, variant); }));
  }

  ClaimSelection read_selection(const ClaimNode& node) const {
    ClaimSelection selection;
    if (const auto name = node.find("comparison")) {
      selection.comparison = name->text();
      name->checked([&] { claim_.comparison(selection.comparison); });
    } else if (claim_.comparisons.size() == 1) {
      selection.comparison = claim_.comparisons.front().name;
    } else {
      node.at("comparison");
    }
    const ClaimComparison& comparison = claim_.comparison(selection.comparison);
    const ClaimNode variant = node.at("variant");
    selection.variant = variant.object();
    std::sort(selection.variant.begin(), selection.variant.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    std::vector<std::string> fields;
    for (const Variation& variation : comparison.vary) fields.push_back(variation.field);
    variant.only(fields);
    if (selected(selection, comparison) == 0) {
      variant.refuse(fmt::format("comparison '{}' has no such variant", comparison.name));
    }
    if (const auto rate = node.find("rate")) selection.rate = read_rate(*rate, comparison);
    return selection;
  }

  static ClaimRate read_rate(const ClaimNode& node, const ClaimComparison& comparison) {
    const bool chosen = node.value().as<std::string>() != nullptr && node.text() == "chosen";
    if (!chosen && comparison.search.pilots > 0) {
      node.refuse(
          "with 'pilots' only the chosen rate has all seeds: take it from a comparison without "
          "them");
    }
    if (node.value().as<std::string>() != nullptr) {
      const std::string name = node.text();
      if (name == "chosen") return {};
      if (name == "lowest") return {ClaimRate::Kind::lowest, 0};
      if (name == "highest") return {ClaimRate::Kind::highest, 0};
      node.refuse(fmt::format("expected chosen, lowest, highest or a number, got '{}'", name));
    }
    const double rate = node.number();
    const auto& rates = comparison.rates;
    if (std::find(rates.begin(), rates.end(), rate) == rates.end()) {
      node.refuse(fmt::format("the comparison's rates are {}", fmt::join(rates, ", ")));
    }
    return {ClaimRate::Kind::given, rate};
  }

  Claim& claim_;
  const ClaimNode& root_;
};

}  // namespace

const ClaimComparison& Claim::comparison(const std::string& which) const {
  std::vector<std::string> names;
  for (const ClaimComparison& each : comparisons) {
    if (each.name == which) return each;
    names.push_back(each.name);
  }
  throw UsageError(fmt::format("there is no comparison '{}'; {}", which, suggestion(which, names)));
}

Claim parse_claim(std::string_view text, const std::string& file, bool quick) {
  const Value plain = parse_claim_json(text, file);
  const ClaimNode root(plain, file);
  root.object();
  Claim claim;
  claim.name = fs::path(file).filename().string();
  if (claim.name.ends_with(".json")) claim.name.erase(claim.name.size() - 5);
  // Names of other directories and files in the directory of results.
  const std::set<std::string> taken = {LabDirectory::runs_name, ModelDirectory::cache_name,
                                       LabDirectory::measured_name,
                                       LabDirectory::report_tables_name};
  if (!names_directory(claim.name) || taken.contains(claim.name)) {
    root.refuse(fmt::format(
        "the file's name is that of a directory of results, too: letters, digits, - and _, and not "
        "{}",
        fmt::join(taken, ", ")));
  }
  claim.quick = quick;
  if (!quick) {
    Reader(claim, root).read(nullptr);
    claim.design = claim_design(plain);
    return claim;
  }
  const ClaimNode override = root.at("quick");
  for (const char* section : {"text", "comparisons"}) root.at(section).object();
  for (const ClaimNode& comparison : root.at("comparisons").elements()) comparison.object();
  for (const char* section : {"model", "training"}) {
    if (const auto changes = override.find(section)) changes->object();
  }
  const Value changed = with_quick(plain, override);
  Reader(claim, ClaimNode(changed, file)).read(&override.value());
  claim.design = claim_design(changed);
  return claim;
}

std::string claim_text(const std::string& name) {
  if (name.ends_with(".json") || name.find('/') != std::string::npos)
    return read_file(name, most_json_bytes);
  std::vector<std::string> names;
  for (const auto& [shipped, text] : shipped_claims()) {
    if (shipped == name) return text;
    names.push_back(shipped);
  }
  const std::string near = nearest_names(name, names);
  throw UsageError(fmt::format(
      "unknown claim '{}'; {}", name,
      near.empty() ? "the list of claims has all; one of your own is given by its file, as in "
                     "./mine.json"
                   : fmt::format("did you mean {}?", near)));
}

Claim find_claim(const std::string& name, bool quick) {
  return parse_claim(claim_text(name), name, quick);
}

}  // namespace sluice
