#include "sluice/lab/claims/claim_runs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <utility>

#include "json_values.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/version.hpp"
#include "sluice/lab/claims/measures.hpp"
#include "sluice/lab/compare/results.hpp"
#include "sluice/models/model_directory.hpp"
#include "sluice/text/inputs.hpp"
#include "utc_now.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

/// The largest part of a text that is held out for validation.
constexpr double most_validation = 0.1;
constexpr const char* claims_file_name = "claims.json";

/// The texts of a request, unpacked where its runs are when they must be.
TextInputs inputs_of(const ClaimRequest& request) {
  return {request.data, {}, ModelDirectory(request.out).cache()};
}

double validation_share(const Claim& claim, const ClaimRequest& request) {
  double bytes = 0;
  const TextInputs inputs = inputs_of(request);
  for (const TextSource& source : inputs.sources()) {
    bytes += static_cast<double>(TextFile(source).size());
  }
  return bytes > 0 ? std::min(most_validation, static_cast<double>(claim.validation) / bytes)
                   : most_validation;
}

/// "gtu", "0.1", "glu|reglu", "none" for an empty list.
std::string value_name(const Value& value) {
  const auto* const list = value.as<Value::List>();
  if (list == nullptr) return value_text(value);
  std::vector<std::string> names;
  for (const Value& each : *list) names.push_back(value_name(each));
  return names.empty() ? "none" : fmt::format("{}", fmt::join(names, "|"));
}

/// "unit=gtu", "norm=batch batch=1 less norm=batch batch=32".
std::string side_name(const ClaimSide& side) {
  const auto name = [](const ClaimSelection& selection) {
    std::vector<std::string> fields;
    for (const auto& [field, value] : selection.variant) {
      fields.push_back(fmt::format("{}={}", field, value_name(value)));
    }
    switch (selection.rate.kind) {
      case ClaimRate::Kind::lowest:
        fields.emplace_back("(lowest learning rate)");
        break;
      case ClaimRate::Kind::highest:
        fields.emplace_back("(highest learning rate)");
        break;
      case ClaimRate::Kind::given:
        fields.push_back(fmt::format("(learning rate {:g})", selection.rate.value));
        break;
      case ClaimRate::Kind::chosen:
        break;
    }
    return fields.empty() ? std::string("all") : fmt::format("{}", fmt::join(fields, " "));
  };
  return side.minus ? fmt::format("{} less {}", name(side.of), name(*side.minus)) : name(side.of);
}

Claim with_seeds(Claim claim, std::int64_t seeds) {
  if (seeds == 0) return claim;
  for (ClaimComparison& comparison : claim.comparisons) comparison.seeds = seeds;
  return claim;
}

/// One claim being run.
class ClaimRun {
 public:
  ClaimRun(const Claim& claim, const ClaimRequest& request, const ClaimCallbacks& callbacks,
           const std::atomic<int>* stop)
      : claim_(with_seeds(claim, request.seeds)),
        request_(request),
        callbacks_(callbacks),
        stop_(stop),
        measuring_(request.out, stop) {}

  std::optional<ClaimResult> run() {
    for (const ClaimComparison& comparison : claim_.comparisons) {
      if (!train(comparison)) return std::nullopt;
    }
    ClaimResult result;
    std::vector<ClaimVerdict> verdicts;
    const auto start = Clock::now();
    try {
      for (const ClaimPart& part : claim_.parts) {
        announce(part, verdicts.size());
        result.parts.push_back(judged(part));
        verdicts.push_back(result.parts.back().verdict);
      }
    } catch (const MeasuringStopped&) {
      return std::nullopt;
    }
    seconds_ += std::chrono::duration<double>(Clock::now() - start).count();
    result.name = claim_.name;
    result.title = claim_.title;
    result.statement = claim_.statement;
    result.source = claim_.source;
    result.verdict = combine(verdicts);
    result.budget = claim_.budget();
    result.seconds = seconds_;
    result.directories = directories_;
    return result;
  }

 private:
  bool train(const ClaimComparison& asked) {
    const auto start = Clock::now();
    auto comparison = plan_comparison(claim_, asked, request_, callbacks_, stop_);
    if (callbacks_.planned) callbacks_.planned(claim_, asked, *comparison);
    if (!comparison->run()) return false;
    const bool only = claim_.comparisons.size() == 1;
    const std::string directory = only ? claim_.name : claim_.name + "/" + asked.name;
    fs::create_directories(request_.out / directory);
    write_results(request_.out / directory, results_of(*comparison));
    directories_.push_back(directory);
    seconds_ += std::chrono::duration<double>(Clock::now() - start).count();
    for (const CompareRun& run : comparison->runs()) {
      if (run.kept) seconds_ += run.record.seconds / static_cast<double>(comparison->jobs());
    }
    comparisons_.emplace(asked.name, std::move(comparison));
    return true;
  }

  std::vector<std::size_t> variants_of(const ClaimSelection& selection) const {
    std::vector<std::size_t> found;
    const auto& variants = comparison(selection).variants();
    for (std::size_t v = 0; v < variants.size(); ++v) {
      if (selects(selection.variant, variants[v].variant)) found.push_back(v);
    }
    return found;
  }

  const Comparison& comparison(const ClaimSelection& selection) const {
    return *comparisons_.at(selection.comparison);
  }

  double rate_of(const ClaimSelection& selection, std::size_t variant) const {
    const std::vector<double>& rates = comparison(selection).variants()[variant].rates;
    switch (selection.rate.kind) {
      case ClaimRate::Kind::lowest:
        return rates.front();
      case ClaimRate::Kind::highest:
        return rates.back();
      case ClaimRate::Kind::given:
        return selection.rate.value;
      case ClaimRate::Kind::chosen:
        break;
    }
    return rates[comparison(selection).chosen_rate(variant)];
  }

  MeasuredRun run_of(const ClaimSelection& selection, std::size_t variant,
                     std::uint64_t seed) const {
    const Comparison& of = comparison(selection);
    return {of, of.run_of(variant, rate_of(selection, variant), seed)};
  }

  /// The measure of a selection with one seed: the mean over its variants.
  double value(const Measure& measure, const ClaimPart& part, const ClaimSelection& selection,
               std::uint64_t seed) {
    double sum = 0;
    const std::vector<std::size_t> variants = variants_of(selection);
    for (const std::size_t variant : variants) {
      sum += measure.of_run(measuring_, run_of(selection, variant, seed), part.at);
    }
    return sum / static_cast<double>(variants.size());
  }

  double value(const Measure& measure, const ClaimPart& part, const ClaimSide& side,
               std::uint64_t seed) {
    const double of = value(measure, part, side.of, seed);
    return side.minus ? of - value(measure, part, *side.minus, seed) : of;
  }

  void announce(const ClaimPart& part, std::size_t done) const {
    if (!callbacks_.measuring) return;
    callbacks_.measuring(static_cast<double>(done) / static_cast<double>(claim_.parts.size()),
                         part.measure);
  }

  PartResult judged(const ClaimPart& part) {
    const Measure& measure = find_measure(part.measure);
    std::vector<double> a;
    std::vector<double> b;
    for (const std::uint64_t seed : comparison(part.a.of).seeds()) {
      if (measure.of_pair) {
        const auto [of_a, of_b] =
            measure.of_pair(run_of(part.a.of, variants_of(part.a.of).front(), seed),
                            run_of(part.b->of, variants_of(part.b->of).front(), seed));
        a.push_back(of_a);
        b.push_back(of_b);
        continue;
      }
      a.push_back(value(measure, part, part.a, seed));
      if (part.b) b.push_back(value(measure, part, *part.b, seed));
    }
    PartResult result = described(part, measure);
    result.values_a = std::move(a);
    result.values_b = std::move(b);
    const Effect effect =
        effect_of(part.effect, result.values_a, result.values_b, claim_.parts.size());
    result.verdict = judge(effect, part.expect, part.threshold);
    result.a = effect.a;
    result.b = effect.b;
    result.effect = effect.effect;
    result.low = effect.interval.low;
    result.high = effect.interval.high;
    result.wide_low = effect.wide.low;
    result.wide_high = effect.wide.high;
    result.n = static_cast<std::int64_t>(effect.n);
    return result;
  }

  /// What is claimed, and of which sides.
  PartResult described(const ClaimPart& part, const Measure& measure) const {
    PartResult result;
    result.statement = part.statement;
    result.measure = part.measure;
    if (measure.has_at) result.at = part.at;
    result.kind = part.effect;
    result.expect = part.expect;
    result.threshold = part.threshold;
    result.unit = measure.unit;
    result.side_a = side_name(part.a);
    result.rates_a = rates_of_side(part.a.of);
    if (part.b) {
      result.side_b = side_name(*part.b);
      result.rates_b = rates_of_side(part.b->of);
    }
    return result;
  }

  SideRates rates_of_side(const ClaimSelection& selection) const {
    SideRates rates;
    for (const std::size_t v : variants_of(selection)) {
      const std::vector<double>& tried = comparison(selection).variants()[v].rates;
      const double rate = rate_of(selection, v);
      rates.lr.push_back(rate);
      rates.at_edge =
          rates.at_edge || (selection.rate.kind == ClaimRate::Kind::chosen && tried.size() > 1 &&
                            (rate == tried.front() || rate == tried.back()));
    }
    return rates;
  }

  const Claim claim_;
  const ClaimRequest& request_;
  const ClaimCallbacks& callbacks_;
  const std::atomic<int>* stop_;
  Measuring measuring_;
  std::map<std::string, std::unique_ptr<Comparison>> comparisons_;
  std::vector<std::string> directories_;
  double seconds_ = 0;
};

ClaimData data_of(const ClaimRequest& request) {
  ClaimData data;
  std::string checksums;
  const TextInputs inputs = inputs_of(request);
  for (const TextSource& source : inputs.sources()) {
    const TextFile file(source);
    data.files.push_back(source.title());
    data.bytes += static_cast<std::int64_t>(file.size());
    checksums += file.checksum();
  }
  data.checksum = checksum_hex(checksums.data(), checksums.size());
  return data;
}

/// claims.json in `directory`; nothing when there is none, or it cannot be read.
std::optional<ClaimResults> earlier_results(const fs::path& directory) {
  const fs::path file = directory / claims_file_name;
  if (!fs::exists(file)) return std::nullopt;
  try {
    return parse_claim_results(read_file(file, most_json_bytes), file.string());
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace

bool selects(const Value::Object& wanted, const Variant& variant) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& item) {
    const auto* const accepted = item.second.template as<Value::List>();
    return std::any_of(variant.fields.begin(), variant.fields.end(), [&](const auto& field) {
      if (field.first != item.first) return false;
      return same_value(item.second, field.second) ||
             (accepted != nullptr &&
              std::any_of(accepted->begin(), accepted->end(),
                          [&](const Value& value) { return same_value(value, field.second); }));
    });
  });
}

std::unique_ptr<Comparison> plan_comparison(const Claim& claim, const ClaimComparison& comparison,
                                            const ClaimRequest& request,
                                            const ClaimCallbacks& callbacks,
                                            const std::atomic<int>* stop) {
  CompareSpec spec;
  spec.base.data.values.train = request.data;
  spec.base.data.values.valid_fraction = validation_share(claim, request);
  spec.base.threads = request.threads;
  spec.base.tokenizer = claim.tokenizer;
  spec.base.model = comparison.model;
  spec.base.training = comparison.training;
  spec.vary = comparison.vary;
  spec.match = comparison.match;
  spec.seeds = comparison.seeds;
  spec.rates = comparison.rates;
  spec.jobs = request.jobs;
  try {
    return std::make_unique<Comparison>(std::move(spec), request.out, callbacks.compare, stop);
  } catch (const UsageError& error) {
    throw UsageError(
        fmt::format("claim '{}', comparison '{}': {}", claim.name, comparison.name, error.what()));
  }
}

std::optional<ClaimResult> run_claim(const Claim& claim, const ClaimRequest& request,
                                     const ClaimCallbacks& callbacks,
                                     const std::atomic<int>* stop) {
  return ClaimRun(claim, request, callbacks, stop).run();
}

void check_claim_results(const ClaimRequest& request, bool quick) {
  const std::optional<ClaimResults> before = earlier_results(request.out);
  if (!before) return;
  const auto refuse = [&](const std::string& what) {
    throw UsageError(
        fmt::format("'{}' has verdicts {}: give another directory, or remove that file",
                    (request.out / claims_file_name).string(), what));
  };
  if (before->quick != quick) refuse(quick ? "of full runs" : "of quick runs");
  if (before->data.checksum != data_of(request).checksum) refuse("on another text");
}

void add_claim_result(const ClaimRequest& request, bool quick, const ClaimResult& result) {
  ClaimResults all;
  all.version = library_version();
  all.date = utc_now();
  all.quick = quick;
  all.data = data_of(request);
  std::optional<ClaimResults> before = earlier_results(request.out);
  if (before && before->version == all.version && before->quick == quick &&
      before->data == all.data) {
    all.claims = std::move(before->claims);
  }
  const auto found =
      std::find_if(all.claims.begin(), all.claims.end(),
                   [&](const ClaimResult& each) { return each.name == result.name; });
  if (found == all.claims.end()) {
    all.claims.push_back(result);
  } else {
    *found = result;
  }
  write_file(request.out / claims_file_name, claims_json(all));
}

}  // namespace sluice
