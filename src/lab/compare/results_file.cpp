// results.json: read and written.

#include <algorithm>

#include "codecs.hpp"
#include "result_file.hpp"
#include "sluice/base/detail/json.hpp"
#include "sluice/lab/compare/results.hpp"

namespace sluice {
namespace {

constexpr ResultFile results_file{results_format_version, "comparison"};

FieldCodec<Summary> summary_codec() {
  static const FieldTable table = FieldsOf<Summary>()
                                      .add("values", &Summary::values, list_of(number_or_null()))
                                      .add("mean", &Summary::mean, number_or_null())
                                      .add("deviation", &Summary::deviation, number_or_null())
                                      .add("low", &Summary::low, number_or_null())
                                      .add("high", &Summary::high, number_or_null());
  return complete<Summary>(table);
}

FieldCodec<Band> band_codec() {
  static const FieldTable table = FieldsOf<Band>()
                                      .add("x", &Band::x)
                                      .add("mean", &Band::mean, list_of(number_or_null()))
                                      .add("low", &Band::low, list_of(number_or_null()))
                                      .add("high", &Band::high, list_of(number_or_null()));
  return checked<Band>(complete<Band>(table), [](const Band& band, const FieldPlace& place) {
    require_same_length(place, {{"x", band.x.size()}, {"mean", band.mean.size()}});
    if (band.low.empty() && band.high.empty()) return;
    require_same_length(
        place, {{"x", band.x.size()}, {"low", band.low.size()}, {"high", band.high.size()}});
  });
}

FieldCodec<VariantCurves> curves_codec() {
  static const FieldTable bands = FieldsOf<CurveBands>()
                                      .add("tokens", &CurveBands::tokens, band_codec())
                                      .add("seconds", &CurveBands::seconds, band_codec());
  static const FieldTable table =
      FieldsOf<VariantCurves>()
          .add("train", &VariantCurves::train, complete<CurveBands>(bands))
          .add("validation", &VariantCurves::validation, complete<CurveBands>(bands));
  return complete<VariantCurves>(table);
}

FieldCodec<RateResult> rate_codec() {
  static const FieldTable table = FieldsOf<RateResult>()
                                      .add("lr", &RateResult::lr)
                                      .add("loss", &RateResult::loss, summary_codec())
                                      .add("diverged", &RateResult::diverged)
                                      .add("chosen", &RateResult::chosen);
  return complete<RateResult>(table);
}

FieldCodec<SearchCost> search_codec() {
  static const FieldTable table = FieldsOf<SearchCost>()
                                      .add("runs", &SearchCost::runs)
                                      .add("tokens", &SearchCost::tokens)
                                      .add("seconds", &SearchCost::seconds);
  return complete<SearchCost>(table);
}

FieldCodec<MatchResult> match_codec() {
  static const FieldTable table = FieldsOf<MatchResult>()
                                      .add("factor", &MatchResult::factor)
                                      .add("count", &MatchResult::count)
                                      .add("error", &MatchResult::error);
  return complete<MatchResult>(table);
}

FieldCodec<VariantResult> variant_codec() {
  using V = VariantResult;
  static const FieldTable table =
      FieldsOf<V>()
          .add("name", &V::name)
          .add("fields", &V::fields, any_value())
          .add("model", &V::model, any_value())
          .add("training", &V::training, any_value())
          .add("parameters", &V::parameters)
          .add("flops_per_token", &V::flops_per_token)
          .add("training_flops", &V::training_flops, number_or_null())
          .add("memory", &V::memory)
          .add("match", &V::match, match_codec())
          .add("rates", &V::rates, list_of(rate_codec()))
          .add("lr", &V::lr)
          .add("lr_at_edge", &V::lr_at_edge)
          .add("search", &V::search, search_codec())
          .add("loss", &V::loss, summary_codec())
          .add("best_loss", &V::best_loss, summary_codec())
          .add("train_loss", &V::train_loss, summary_codec())
          .add("seconds", &V::seconds, summary_codec())
          .add("tokens_per_second", &V::tokens_per_second, summary_codec())
          .add("curves", &V::curves, curves_codec());
  return checked<V>(complete<V>(table), [](const V& variant, const FieldPlace& place) {
    if (variant.tokens_per_step() < 1) {
      place.field("training").refuse("lacks 'batch' and 'context' of at least 1");
    }
  });
}

FieldCodec<PairRecord> pair_codec() {
  static const FieldTable table = FieldsOf<PairRecord>()
                                      .add("a", &PairRecord::a)
                                      .add("b", &PairRecord::b)
                                      .add("n", &PairRecord::n)
                                      .add("difference", &PairRecord::difference, number_or_null())
                                      .add("low", &PairRecord::low, number_or_null())
                                      .add("high", &PairRecord::high, number_or_null())
                                      .add("t", &PairRecord::t, number_or_null())
                                      .add("p", &PairRecord::p, number_or_null())
                                      .add("p_holm", &PairRecord::p_holm, number_or_null())
                                      .add("verdict", &PairRecord::verdict);
  return complete<PairRecord>(table);
}

/// The fields of the run stand beside those of its record.
FieldCodec<RunResult> run_codec() {
  static const FieldTable table = FieldsOf<RunResult>()
                                      .add("run", &RunResult::run)
                                      .add("variant", &RunResult::variant)
                                      .add("lr", &RunResult::lr)
                                      .add("seed", &RunResult::seed)
                                      .add("chosen", &RunResult::chosen);
  FieldCodec<RunResult> codec = complete<RunResult>(table);
  codec.read = [](const Value& value, const FieldPlace& place) {
    RunResult run;
    RunRecord& record = run;
    read_fields({{table, run}, {run_record_fields(), record}}, value, place, Reading::complete);
    return run;
  };
  codec.write = [](const RunResult& run) {
    const RunRecord& record = run;
    return write_fields({{table, run}, {run_record_fields(), record}});
  };
  return codec;
}

FieldCodec<ResultData> data_codec() {
  static const FieldTable files = FieldsOf<ResultFiles>()
                                      .add("train", &ResultFiles::train)
                                      .add("valid", &ResultFiles::valid)
                                      .add("valid_fraction", &ResultFiles::valid_fraction);
  static const FieldTable tokenizer = FieldsOf<ResultTokenizer>()
                                          .add("kind", &ResultTokenizer::kind)
                                          .add("vocabulary", &ResultTokenizer::vocabulary)
                                          .add("min_count", &ResultTokenizer::min_count)
                                          .add("fingerprint", &ResultTokenizer::fingerprint);
  static const FieldTable table =
      FieldsOf<ResultData>()
          .add("files", &ResultData::files, complete<ResultFiles>(files))
          .add("tokenizer", &ResultData::tokenizer, complete<ResultTokenizer>(tokenizer))
          .add("train", &ResultData::train)
          .add("valid", &ResultData::valid)
          .add("train_tokens", &ResultData::train_tokens)
          .add("valid_tokens", &ResultData::valid_tokens);
  return complete<ResultData>(table);
}

FieldCodec<ResultBudget> budget_codec() {
  static const FieldTable table = FieldsOf<ResultBudget>()
                                      .add("epochs", &ResultBudget::epochs)
                                      .add("minutes", &ResultBudget::minutes)
                                      .add("steps", &ResultBudget::steps)
                                      .add("tokens", &ResultBudget::tokens);
  return complete<ResultBudget>(table);
}

/// Every pair and run must name an existing variant.
void check_names(const Results& results, const FieldPlace& place) {
  const auto require = [&](const std::string& name, const FieldPlace& at) {
    if (results.find_variant(name) == nullptr) at.refuse("names a variant that is not there");
  };
  for (std::size_t i = 0; i < results.pairs.size(); ++i) {
    const FieldPlace pair = place.field("pairs").element(i);
    require(results.pairs[i].a, pair.field("a"));
    require(results.pairs[i].b, pair.field("b"));
  }
  for (std::size_t i = 0; i < results.runs.size(); ++i) {
    const FieldPlace run = place.field("runs").element(i);
    require(results.runs[i].variant, run.field("variant"));
    // It becomes a path: no history outside the directory of runs is read.
    if (!is_plain_name(results.runs[i].run)) {
      run.field("run").refuse("the name of a directory", results.runs[i].run);
    }
  }
}

FieldCodec<Results> results_codec() {
  static const FieldTable table = FieldsOf<Results>()
                                      .add("format_version", &Results::format_version)
                                      .add("version", &Results::version)
                                      .add("date", &Results::date)
                                      .add("measure", &Results::measure)
                                      .add("confidence", &Results::confidence)
                                      .add("data", &Results::data, data_codec())
                                      .add("varied", &Results::varied)
                                      .add("budget", &Results::budget, budget_codec())
                                      .add("match", &Results::match)
                                      .add("seeds", &Results::seeds)
                                      .add("threads", &Results::threads)
                                      .add("jobs", &Results::jobs)
                                      .add("same_batches", &Results::same_batches)
                                      .add("variants", &Results::variants, list_of(variant_codec()))
                                      .add("pairs", &Results::pairs, list_of(pair_codec()))
                                      .add("runs", &Results::runs, list_of(run_codec()));
  return checked<Results>(complete<Results>(table), check_names);
}

}  // namespace

std::int64_t VariantResult::tokens_per_step() const {
  std::int64_t product = 1;
  for (const char* key : {"batch", "context", "accumulate"}) {
    const Value* const field = training.find(key);
    if (field == nullptr && key == std::string_view("accumulate")) continue;  // it is 1 then
    const auto* const number = field == nullptr ? nullptr : field->as<std::int64_t>();
    constexpr std::int64_t most = std::int64_t{1} << 31;
    product *= number == nullptr || *number > most ? 0 : *number;
  }
  return product;
}

const VariantResult* Results::find_variant(std::string_view name) const {
  const auto found =
      std::find_if(variants.begin(), variants.end(),
                   [&](const VariantResult& variant) { return variant.name == name; });
  return found == variants.end() ? nullptr : &*found;
}

std::size_t Results::fewest_seeds() const {
  std::size_t fewest = seeds.size();
  for (const VariantResult& variant : variants) {
    fewest = std::min(fewest, variant.loss.values.size());
  }
  return fewest;
}

std::size_t Results::shared_seeds(const PairRecord& pair) const {
  std::size_t shared = seeds.size();
  for (const std::string* name : {&pair.a, &pair.b}) {
    const VariantResult* const variant = find_variant(*name);
    if (variant != nullptr) shared = std::min(shared, variant->loss.values.size());
  }
  return shared;
}

std::string results_json(const Results& results) {
  return json_text(results_codec().write(results), 1) + "\n";
}

Results parse_results(std::string_view text, const std::string& name) {
  return parse_result(text, name, results_file, results_codec());
}

}  // namespace sluice
