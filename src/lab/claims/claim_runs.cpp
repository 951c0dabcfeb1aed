#include "sluice/lab/claims/claim_runs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <sstream>
#include <utility>

#include "claims/claim_values.hpp"
#include "json_values.hpp"
#include "own_directory.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/version.hpp"
#include "sluice/lab/claims/measures.hpp"
#include "sluice/lab/compare/results.hpp"
#include "sluice/lab/lab_directory.hpp"
#include "sluice/models/model_directory.hpp"
#include "sluice/text/inputs.hpp"
#include "utc_now.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

/// The largest part of a text that is held out for validation.
constexpr double most_validation = 0.1;

/// The texts of a request, unpacked where its runs are when they must be.
TextInputs inputs_of(const ClaimRequest& request) {
  return {request.data, {}, ModelDirectory(request.out).cache()};
}

/// The claim's own text where it has one, made when it is not there, else the request's.
ClaimRequest with_text(const Claim& claim, ClaimRequest request) {
  if (!claim.task) return request;
  const fs::path directory = ModelDirectory(request.out).cache();
  request.data = {fs::absolute(directory / task_file_name(*claim.task))};
  if (!is_there(request.data.front())) {
    fs::create_directories(directory);
    write_task(*claim.task, request.data.front());
  }
  return request;
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

/// Throws unless the comparison's rates are chosen before the seeds that judge it are counted.
void check_search(const Claim& claim, const ClaimComparison& comparison) {
  if (comparison.search.pilots > 0 || comparison.rates.size() < 2) return;
  for (const ClaimPart& part : claim.parts) {
    for (const ClaimSelection* side : selections_of(part)) {
      if (side->comparison != comparison.name || side->rate.kind != ClaimRate::Kind::chosen)
        continue;
      throw UsageError(fmt::format(
          "claim '{}', comparison '{}': seeds cannot be added while they choose learning rates: "
          "give it 'pilots', or one rate",
          claim.name, comparison.name));
    }
  }
}

/// What helpers are told: a claim and one of its comparisons, a line each, then how many seeds
/// which of its runs get; at the end an empty line and a status.
void ask_for_help(Communicator& helpers, const std::string& claim, const std::string& comparison,
                  std::int64_t seeds, const ClaimArms& arms) {
  std::string task = fmt::format("{}\n{}\n{}", claim, comparison, seeds);
  for (const auto& [variant, rate] : arms) task += fmt::format(" {} {}", variant, rate);
  static_cast<void>(helpers.broadcast(task));
}

void set_seeds(Comparison& comparison, const ClaimArms& arms, std::int64_t seeds) {
  for (const auto& [variant, rate] : arms) {
    comparison.set_seeds(variant, comparison.variants().at(variant).rates.at(rate), seeds);
  }
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
        measuring_(request.out, stop),
        values_(claim_, measuring_) {}

  std::optional<ClaimResult> run() {
    for (const ClaimComparison& comparison : claim_.comparisons) {
      if (request_.until_decided) check_search(claim_, comparison);
      looks_[comparison.name] = claim_looks(claim_, comparison, request_);
    }
    results_.resize(claim_.parts.size());
    for (std::size_t look = 0; look == 0 || goes_on(look); ++look) {
      if (!train(look) || !judge(look)) return std::nullopt;
    }
    return result();
  }

 private:
  /// Whether there is anything to find out at `look`.
  bool goes_on(std::size_t look) const {
    if (verdict() != ClaimVerdict::inconclusive) return false;
    // Not of runs that were there: how long they took then says nothing of what there is now.
    if (request_.minutes > 0 && own_seconds_ > 60 * request_.minutes) return false;
    for (std::size_t part = 0; part < results_.size(); ++part) {
      if (open(part) && look < looks_of(part).count()) return true;
    }
    return false;
  }

  /// Whether seeds may still decide the part. They never do where a run has no value (it diverged,
  /// say): no interval comes of any number of others.
  bool open(std::size_t part) const {
    const auto& result = results_[part];
    if (!result) return true;
    return result->verdict == ClaimVerdict::inconclusive &&
           (result->n > 0 || result->values_a.size() < 2);
  }
  const LookPlan& looks_of(std::size_t part) const {
    return looks_.at(claim_.parts[part].a.of.comparison);
  }

  /// Which runs of the comparison a part that is still open reads.
  ClaimArms needed(const ClaimComparison& comparison) const {
    ClaimArms all;
    for (std::size_t part = 0; part < results_.size(); ++part) {
      if (open(part)) all.merge(values_.arms(claim_.parts[part], comparison.name));
    }
    return all;
  }

  /// Trains the runs that `look` asks for. False when it was stopped.
  bool train(std::size_t look) {
    const auto start = Clock::now();
    for (const ClaimComparison& asked : claim_.comparisons) {
      if (look >= looks_.at(asked.name).count()) continue;
      // The first look is at the seeds that all are planned with.
      ClaimArms arms;
      if (look == 0) {
        values_.add(asked.name, plan_comparison(claim_, asked, request_, callbacks_, stop_));
      } else if (arms = needed(asked); arms.empty()) {
        continue;
      }
      Comparison& comparison = values_.comparison(asked.name);
      const std::int64_t seeds = looks_.at(asked.name).seeds[look];
      set_seeds(comparison, arms, seeds);
      if (callbacks_.planned) callbacks_.planned(claim_, asked, comparison);
      if (request_.helpers != nullptr) {
        ask_for_help(*request_.helpers, claim_.name, asked.name, seeds, arms);
      }
      if (!comparison.run(request_.helpers)) return false;
      const fs::path directory = request_.out / directory_of(asked);
      make_own_directory(directory, claim_.comparisons.size() == 1 ? 1 : 2);
      write_results(directory, results_of(comparison));
    }
    own_seconds_ += std::chrono::duration<double>(Clock::now() - start).count();
    return true;
  }

  /// Judges the parts that are open. False when it was stopped.
  bool judge(std::size_t look) {
    const auto start = Clock::now();
    try {
      for (std::size_t part = 0; part < results_.size(); ++part) {
        if (!open(part) || look >= looks_of(part).count()) continue;
        announce(claim_.parts[part], part);
        results_[part] = values_.values(claim_.parts[part]);
        values_.judge(*results_[part], looks_of(part), look);
        values_.add_text(*results_[part], claim_.parts[part]);
      }
    } catch (const MeasuringStopped&) {
      return false;
    }
    own_seconds_ += std::chrono::duration<double>(Clock::now() - start).count();
    return true;
  }

  std::string directory_of(const ClaimComparison& comparison) const {
    return claim_.comparisons.size() == 1 ? claim_.name : claim_.name + "/" + comparison.name;
  }

  ClaimVerdict verdict() const {
    std::vector<ClaimVerdict> verdicts;
    for (const auto& result : results_) verdicts.push_back(result->verdict);
    return combine(verdicts);
  }

  /// Of this call, and of runs that were there already.
  double seconds() const {
    double sum = own_seconds_;
    for (const ClaimComparison& asked : claim_.comparisons) {
      const Comparison& comparison = values_.comparison(asked.name);
      for (const CompareRun& run : comparison.runs()) {
        if (run.kept) sum += run.record.seconds / static_cast<double>(comparison.jobs());
      }
    }
    return sum;
  }

  ClaimResult result() {
    ClaimResult result;
    result.name = claim_.name;
    result.title = claim_.title;
    result.statement = claim_.statement;
    result.source = claim_.source;
    result.plain = claim_.plain;
    result.limits = claim_.limits;
    result.design = claim_.design;
    result.verdict = verdict();
    for (auto& part : results_) result.parts.push_back(std::move(*part));
    result.p = claim_p(result);
    result.seconds = seconds();
    ClaimBudget budget;
    for (const ClaimComparison& asked : claim_.comparisons) {
      result.directories.push_back(directory_of(asked));
      budget.tokens.insert(asked.tokens());
      const Comparison& comparison = values_.comparison(asked.name);
      for (const PlannedVariant& variant : comparison.variants()) {
        budget.steps.insert(variant.training.total_steps(1));
      }
      for (const CompareRun& run : comparison.runs()) {
        ++result.runs;
        if (asked.search.pilots == 0 || comparison.judges(run)) continue;
        ++result.search_runs;
        result.search_seconds += run.record.seconds;
      }
    }
    budget.runs = result.runs;
    result.budget = budget.text();
    if (result.search_runs > 0) {
      result.budget += fmt::format(", {} of them to choose learning rates", result.search_runs);
    }
    return result;
  }

  static double claim_p(const ClaimResult& result) {
    const bool fails = result.verdict == ClaimVerdict::fails;
    if (result.verdict == ClaimVerdict::inconclusive) return 1;
    double p = fails ? 1 : 0;
    for (const PartResult& part : result.parts) {
      if (!fails) {
        p = std::max(p, part.p);
      } else if (part.verdict == ClaimVerdict::fails) {
        p = std::min(p, part.p);
      }
    }
    return p;
  }

  void announce(const ClaimPart& part, std::size_t done) const {
    if (!callbacks_.measuring) return;
    callbacks_.measuring(static_cast<double>(done) / static_cast<double>(claim_.parts.size()),
                         part.measure);
  }

  const Claim claim_;
  const ClaimRequest& request_;
  const ClaimCallbacks& callbacks_;
  const std::atomic<int>* stop_;
  Measuring measuring_;
  ClaimValues values_;
  /// By comparison.
  std::map<std::string, LookPlan> looks_;
  std::vector<std::optional<PartResult>> results_;
  double own_seconds_ = 0;
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

/// claims.json in `directory`; nothing when there is none. Throws Error for one that cannot be
/// read: its verdicts would be written over.
std::optional<ClaimResults> earlier_results(const fs::path& directory) {
  const fs::path file = LabDirectory(directory).claims_file();
  if (!is_there(file)) return std::nullopt;
  const std::string text = read_file(file, most_json_bytes);
  try {
    return parse_claim_results(text, file.string());
  } catch (const Error& error) {
    throw Error(fmt::format("{}; to begin anew here, move that file away", error.what()));
  }
}

}  // namespace

std::vector<const ClaimSelection*> selections_of(const ClaimPart& part) {
  std::vector<const ClaimSelection*> all;
  const auto add = [&](const ClaimSide& side) {
    all.push_back(&side.of);
    if (side.minus) all.push_back(&*side.minus);
  };
  add(part.a);
  if (part.b) add(*part.b);
  return all;
}

Claim with_seeds(Claim claim, std::int64_t seeds) {
  if (seeds == 0) return claim;
  for (ClaimComparison& comparison : claim.comparisons) comparison.seeds = seeds;
  return claim;
}

LookPlan claim_looks(const Claim& claim, const ClaimComparison& comparison,
                     const ClaimRequest& request) {
  return request.until_decided ? plan_looks(comparison.seeds, claim.most_seeds)
                               : one_look(comparison.seeds);
}

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
  const ClaimRequest on_text = with_text(claim, request);
  spec.base.data.values.train = on_text.data;
  spec.base.data.values.valid_fraction = validation_share(claim, on_text);
  spec.base.threads = request.threads;
  spec.base.tokenizer = claim.tokenizer;
  spec.base.model = comparison.model;
  spec.base.training = comparison.training;
  spec.vary = comparison.vary;
  spec.match = comparison.match;
  spec.seeds = comparison.seeds;
  spec.rates = comparison.rates;
  spec.search = comparison.search;
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

int help_claims(const std::vector<Claim>& claims, const ClaimRequest& request,
                const std::atomic<int>* stop) {
  std::map<std::string, Claim> known;
  for (const Claim& claim : claims) known.emplace(claim.name, with_seeds(claim, request.seeds));
  std::map<std::string, std::unique_ptr<Comparison>> planned;
  while (true) {
    std::istringstream task(request.helpers->broadcast({}));
    std::string claim, comparison;
    std::int64_t number = 0;
    std::getline(task, claim);
    if (!claim.empty()) std::getline(task, comparison);
    task >> number;
    if (claim.empty()) return static_cast<int>(number);
    std::unique_ptr<Comparison>& plan = planned[fmt::format("{}/{}", claim, comparison)];
    for (const ClaimComparison& asked : known.at(claim).comparisons) {
      if (plan || asked.name != comparison) continue;
      plan = plan_comparison(known.at(claim), asked, request, {}, stop);
    }
    ClaimArms arms;
    for (std::size_t variant = 0, rate = 0; task >> variant >> rate;) arms.emplace(variant, rate);
    set_seeds(*plan, arms, number);
    // When it was stopped, the first process knows, and says what to do next.
    static_cast<void>(plan->run(request.helpers));
  }
}

void dismiss_helpers(Communicator& helpers, int status) {
  static_cast<void>(helpers.broadcast(fmt::format("\n{}", status)));
}

void check_claim_results(const ClaimRequest& request, bool quick) {
  const std::optional<ClaimResults> before = earlier_results(request.out);
  if (!before) return;
  const auto refuse = [&](const std::string& what) {
    throw UsageError(
        fmt::format("'{}' has verdicts {}: give another directory, or remove that file",
                    LabDirectory(request.out).claims_file().string(), what));
  };
  if (before->quick != quick) refuse(quick ? "of full runs" : "of quick runs");
  if (before->data.checksum != data_of(request).checksum) refuse("on another text");
}

ClaimResults add_claim_result(const ClaimRequest& request, bool quick, const ClaimResult& result) {
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
  write_file(LabDirectory(request.out).claims_file(), claims_json(all));
  return all;
}

}  // namespace sluice
