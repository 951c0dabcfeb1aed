// claims.json: read and written.

#include "sluice/lab/claims/claim_results.hpp"

#include "claims/claim_values.hpp"
#include "codecs.hpp"
#include "result_file.hpp"
#include "sluice/base/detail/json.hpp"

namespace sluice {
namespace {

constexpr ResultFile claims_file{claims_format_version, "run of claims"};

FieldCodec<SideRates> side_rates_codec() {
  static const FieldTable table =
      FieldsOf<SideRates>().add("lr", &SideRates::lr).add("at_edge", &SideRates::at_edge);
  return complete<SideRates>(table);
}

FieldCodec<PartResult> part_codec() {
  using P = PartResult;
  const auto has_text = [](const P& part) { return part.text_blocks > 0; };
  static const FieldTable table = FieldsOf<P>()
                                      .add("statement", &P::statement)
                                      .add("verdict", &P::verdict)
                                      .add("measure", &P::measure)
                                      .add("at", &P::at)
                                      .add("kind", &P::kind)
                                      .add("expect", &P::expect)
                                      .add("threshold", &P::threshold)
                                      .add("unit", &P::unit)
                                      .add("side_a", &P::side_a)
                                      .add("side_b", &P::side_b)
                                      .add("rates_a", &P::rates_a, side_rates_codec())
                                      .add("rates_b", &P::rates_b, optional_of(side_rates_codec()))
                                      .add("values_a", &P::values_a, list_of(number_or_null()))
                                      .add("values_b", &P::values_b, list_of(number_or_null()))
                                      .add("a", &P::a, number_or_null())
                                      .add("b", &P::b, number_or_null())
                                      .add("effect", &P::effect, number_or_null())
                                      .add("low", &P::low, number_or_null())
                                      .add("high", &P::high, number_or_null())
                                      .add("confidence", &P::confidence)
                                      .add("wide_low", &P::wide_low, number_or_null())
                                      .add("wide_high", &P::wide_high, number_or_null())
                                      .add("n", &P::n)
                                      .add("statistic", &P::statistic, {.optional = true})
                                      .add("bound", &P::bound, {.optional = true})
                                      .add("p", &P::p, {.optional = true})
                                      .add("text_blocks", &P::text_blocks, {.optional = true})
                                      .add("text_low", &P::text_low, {.optional = true})
                                      .only_if(has_text)
                                      .add("text_high", &P::text_high, {.optional = true})
                                      .only_if(has_text)
                                      .add("looks", &P::looks, {.optional = true})
                                      .add("looked", &P::looked, {.optional = true})
                                      .add("seeds_to_tell", &P::seeds_to_tell, {.optional = true});
  return complete<P>(table);
}

FieldCodec<ClaimResult> claim_codec() {
  using C = ClaimResult;
  static const FieldTable table =
      FieldsOf<C>()
          .add("name", &C::name)
          .add("title", &C::title)
          .add("statement", &C::statement)
          .add("source", &C::source)
          .add("plain", &C::plain, {.optional = true})
          .only_if([](const C& claim) { return !claim.plain.empty(); })
          .add("limits", &C::limits, {.optional = true})
          .only_if([](const C& claim) { return !claim.limits.empty(); })
          .add("design", &C::design, {.optional = true})
          .only_if([](const C& claim) { return !claim.design.empty(); })
          .add("verdict", &C::verdict)
          .add("parts", &C::parts, list_of(part_codec()))
          .add("budget", &C::budget)
          .add("seconds", &C::seconds)
          .add("p", &C::p, {.optional = true})
          .add("runs", &C::runs, {.optional = true})
          .add("search_runs", &C::search_runs, {.optional = true})
          .add("search_seconds", &C::search_seconds, {.optional = true})
          .add("directories", &C::directories)
          .add("command", &C::command, {.optional = true})
          .only_if([](const C& claim) { return !claim.command.empty(); });
  return complete<C>(table);
}

FieldCodec<ClaimResults> claims_codec() {
  static const FieldTable data = FieldsOf<ClaimData>()
                                     .add("files", &ClaimData::files)
                                     .add("bytes", &ClaimData::bytes)
                                     .add("checksum", &ClaimData::checksum);
  static const FieldTable table = FieldsOf<ClaimResults>()
                                      .add("format_version", &ClaimResults::format_version)
                                      .add("version", &ClaimResults::version)
                                      .add("date", &ClaimResults::date)
                                      .add("quick", &ClaimResults::quick)
                                      .add("data", &ClaimResults::data, complete<ClaimData>(data))
                                      .add("claims", &ClaimResults::claims, list_of(claim_codec()));
  return complete<ClaimResults>(table);
}

}  // namespace

std::string claims_json(const ClaimResults& results) {
  return json_text(claims_codec().write(results), 1) + "\n";
}

std::vector<double> corrected_p(const ClaimResults& results) {
  std::vector<double> p;
  for (const ClaimResult& claim : results.claims) p.push_back(claim.p);
  return holm(p);
}

ClaimResults parse_claim_results(std::string_view text, const std::string& name) {
  ClaimResults results = parse_result(text, name, claims_file, claims_codec());
  for (ClaimResult& claim : results.claims) {
    // Older files have none, or 0 for it.
    for (PartResult& part : claim.parts) {
      part.seeds_to_tell = seeds_to_tell(part, claim.parts.size());
    }
  }
  return results;
}

}  // namespace sluice
