// The report's sections on claims: each with its verdict, effects and intervals.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/report_page.hpp"
#include "sluice/lab/lab_directory.hpp"

namespace sluice::report {
namespace {

std::int64_t with_verdict(const ClaimResults& results, ClaimVerdict verdict) {
  return std::count_if(results.claims.begin(), results.claims.end(),
                       [&](const ClaimResult& claim) { return claim.verdict == verdict; });
}

/// What the effect is an effect on: "loss", "lag_gradient at 64".
std::string measure_of(const PartResult& part) {
  return part.measure + (part.at ? " at " + significant(*part.at) : "");
}

/// "nats per token", or "times" for ratios.
std::string unit_of(const PartResult& part) {
  return part.kind == EffectKind::ratio ? "times" : part.unit;
}

std::string effect_text(const PartResult& part) {
  if (!std::isfinite(part.effect)) return "–";
  const std::string unit = unit_of(part);
  return significant(part.effect) + (unit.empty() ? "" : " " + unit);
}

/// "-0.12 nats per token (-0.16 to -0.08)".
std::string effect_and_interval(const PartResult& part) {
  std::string text = effect_text(part);
  if (std::isfinite(part.low) && std::isfinite(part.high)) {
    text += fmt::format(" ({} to {})", significant(part.low), significant(part.high));
  }
  return text;
}

/// "below 0": what the claim says of the effect.
std::string expectation(const PartResult& part) {
  const char* word = part.expect == Expect::less      ? "below"
                     : part.expect == Expect::greater ? "above"
                                                      : "within";
  const std::string bound =
      part.bound ? ", equal within " + significant(*part.bound) : std::string();
  return fmt::format("{} {}{}", word, significant(part.threshold), bound);
}

std::string part_label(const PartResult& part, std::size_t index) {
  return fmt::format("{}. {}", index + 1, part.statement);
}

std::size_t color_of(ClaimVerdict verdict) {
  switch (verdict) {
    case ClaimVerdict::holds:
      return 2;
    case ClaimVerdict::fails:
      return 1;
    case ClaimVerdict::equal:
      return 3;
    case ClaimVerdict::inconclusive:
      break;
  }
  return 0;
}

/// The view of effects that are measured as this part's are, made when there is none yet.
Chart& view_for(Figure& figure, const PartResult& part, const std::string& id) {
  const std::string unit = unit_of(part);
  const std::string label = measure_of(part) + (unit.empty() ? "" : ", " + unit);
  const auto found = std::find_if(figure.views.begin(), figure.views.end(), [&](const Chart& view) {
    return view.label == label && view.reference == part.threshold;
  });
  if (found != figure.views.end()) return *found;
  const std::string number =
      figure.views.empty() ? "" : fmt::format("-{}", figure.views.size() + 1);
  // Ratios of 2 and of 1/2 are equally far from no effect.
  const char* scale = part.kind == EffectKind::ratio ? "log" : "linear";
  figure.views.push_back({.id = id + "-effects" + number,
                          .label = label,
                          .kind = ChartKind::interval,
                          .x = {"Part", "part", "category"},
                          .y = {"Effect on " + label, "effect", scale},
                          .keys = {"verdict"},
                          .reference = part.threshold,
                          .summary = "Effects on " + label + " with their confidence intervals."});
  return figure.views.back();
}

/// Effects in one unit share an axis.
Figure effects(const ClaimResult& claim, const std::string& id) {
  Figure figure{
      "Effects",
      "Dots are effects, bars their intervals; the line is where the claim begins to hold, or to "
      "fail.",
      {},
      4};
  for (std::size_t i = 0; i < claim.parts.size(); ++i) {
    const PartResult& part = claim.parts[i];
    if (!std::isfinite(part.effect)) continue;
    Chart& chart = view_for(figure, part, id);
    const std::string& verdict = name_of(part.verdict);
    auto series = std::find_if(chart.series.begin(), chart.series.end(),
                               [&](const Series& one) { return one.name == verdict; });
    if (series == chart.series.end()) {
      chart.series.push_back({.name = verdict, .keys = {verdict}, .color = color_of(part.verdict)});
      series = chart.series.end() - 1;
    }
    series->x.emplace_back(part_label(part, i));
    series->y.push_back(part.effect);
    series->low.push_back(part.low);
    series->high.push_back(part.high);
  }
  return figure;
}

Cell words(const std::string& text) { return {text, text}; }

Cell number(double value) { return {value, significant(value)}; }

Cell verdict_cell(ClaimVerdict verdict) {
  const std::string& name = name_of(verdict);
  return {name, name, tone_of(name)};
}

Table parts_table(const ClaimResult& claim, const std::string& id) {
  Table table{.id = id + "-parts",
              .caption = "Parts of the claim",
              .columns = {{"What should hold", "statement"},
                          {"Verdict", "verdict"},
                          {"Measure", "measure"},
                          {"First", "side_a"},
                          {"Its mean", "a"},
                          {"Second", "side_b"},
                          {"Its mean", "b"},
                          {"Effect", "effect"},
                          {"Low", "low"},
                          {"High", "high"},
                          {"Low over text", "text_low"},
                          {"High over text", "text_high"},
                          {"Claimed", "claimed"},
                          {"Seeds", "n"},
                          {"p", "p"}}};
  for (const PartResult& part : claim.parts) {
    table.rows.push_back({words(part.statement),
                          verdict_cell(part.verdict),
                          words(measure_of(part)),
                          words(part.side_a),
                          number(part.a),
                          words(part.side_b.value_or("")),
                          number(part.b),
                          {part.effect, effect_text(part)},
                          number(part.low),
                          number(part.high),
                          number(part.text_low),
                          number(part.text_high),
                          words(expectation(part)),
                          {part.n, significant(static_cast<double>(part.n))},
                          number(part.p)});
  }
  return table;
}

Table claims_table(const ClaimResults& results) {
  Table table{.id = "claims",
              .caption = "Claims and what came of them",
              .columns = {{"Claim", "claim"},
                          {"Verdict", "verdict"},
                          {"Part", "part"},
                          {"Part’s verdict", "part_verdict"},
                          {"Effect", "effect"},
                          {"Low", "low"},
                          {"High", "high"}}};
  for (const ClaimResult& claim : results.claims) {
    for (const PartResult& part : claim.parts) {
      table.rows.push_back({words(claim.title),
                            verdict_cell(claim.verdict),
                            words(part.statement),
                            verdict_cell(part.verdict),
                            {part.effect, effect_text(part)},
                            number(part.low),
                            number(part.high)});
    }
  }
  return table;
}

void add_row(Html& list, const char* term, const Html& description) {
  if (!description.empty()) {
    list += markup("<div><dt>{}</dt><dd>{}</dd></div>\n", term, description);
  }
}

/// What a person needs to judge the claim or run it again.
Html particulars(const ClaimResult& claim, const ReportedClaims::Directories& directories) {
  Html list;
  add_row(list, "Source", claim.source);
  add_row(list, "Does not show", claim.limits);
  add_row(list, "Budget", claim.budget);
  add_row(list, "Took", span_of_time(claim.seconds));
  if (!claim.command.empty()) add_row(list, "Command", markup("<code>{}</code>", claim.command));
  Html links;
  for (const std::string& name : directories.found) {
    links += markup("<a href=\"{}/{}\">{}</a> ", url(name), LabDirectory::report_name, name);
  }
  add_row(list, "Runs", links);
  for (const std::string& fault : directories.unread) add_row(list, "Not shown", fault);
  return markup("<dl class=\"facts\">{}</dl>\n", list);
}

/// The claim in words, after what came of it where that is not that it holds.
Html in_words(const ClaimResult& claim) {
  Html lead;
  switch (claim.verdict) {
    case ClaimVerdict::fails:
      lead = markup("<b>Fails here.</b> ");
      break;
    case ClaimVerdict::equal:
      lead = markup("<b>Equal here, within a stated bound.</b> ");
      break;
    case ClaimVerdict::inconclusive:
      lead = markup("<b>Not decided here.</b> ");
      break;
    case ClaimVerdict::holds:
      break;
  }
  const std::string& sentence = claim.plain.empty() ? claim.statement : claim.plain;
  if (!lead.empty()) lead += sentence.ends_with('?') ? "The question: " : "The claim: ";
  Html words = markup("<p>{}{}</p>\n", lead, sentence);
  if (!claim.plain.empty()) words += markup("<p>What was tested: {}</p>\n", claim.statement);
  return words;
}

void add_claim(Page& page, const ClaimResult& claim,
               const ReportedClaims::Directories& directories) {
  const std::string id = "claim-" + slug(claim.name);
  page.add(
      markup("<article class=\"claim\" id=\"{0}\" aria-labelledby=\"{0}-title\">\n"
             "<h3 id=\"{0}-title\">{1} {2}</h3>\n",
             id, claim.title, badge(name_of(claim.verdict))));
  page.add(in_words(claim));
  if (const Figure figure = effects(claim, id); !figure.views.empty()) page.add(figure);
  if (!claim.parts.empty()) page.add(parts_table(claim, id));
  page.add(particulars(claim, directories));
  page.add(markup("</article>\n"));
}

/// "<b>1 holds</b>", "<b>2 fail</b>", "<b>0 are inconclusive</b>".
Html tally(const ClaimResults& results, ClaimVerdict verdict, const char* one, const char* more) {
  const std::int64_t number = with_verdict(results, verdict);
  return markup("<b>{} {}</b>", number, number == 1 ? one : more);
}

/// What stands when verdicts are corrected for their number, without the line's end.
std::string summary_of(const ClaimResults& results) {
  std::string text = format_summary(results);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace

void add_claims(Page& page, const ReportedClaims& reported) {
  const ClaimResults& results = reported.results;
  page.set_title("Claims about units and models");
  page.say("", markup("Of {} claim{}, {}, {}, {} and {} at this budget.", results.claims.size(),
                      results.claims.size() == 1 ? "" : "s",
                      tally(results, ClaimVerdict::holds, "holds", "hold"),
                      tally(results, ClaimVerdict::fails, "fails", "fail"),
                      tally(results, ClaimVerdict::equal, "is equal within its bound",
                            "are equal within their bounds"),
                      tally(results, ClaimVerdict::inconclusive, "is inconclusive",
                            "are inconclusive")));
  if (results.claims.size() > 1) page.say("note", markup("{}.", summary_of(results)));
  if (results.quick) {
    page.say("note", "A quick run: smaller models and budgets, so that much stays undecided.");
  }
  for (const ClaimResult& claim : results.claims) {
    const bool one = claim.parts.size() == 1 && std::isfinite(claim.parts.front().effect);
    page.say(
        name_of(claim.verdict),
        markup("<a href=\"#claim-{}\">{}</a>: {}{}", slug(claim.name), claim.title, claim.statement,
               one ? " The effect is " + effect_and_interval(claim.parts.front()) + "." : ""));
  }
  page.fact("Claims made", markup("{}, Sluice {}", results.date, results.version));

  page.section("claims", "Claims");
  page.add(claims_table(results));
  for (std::size_t i = 0; i < results.claims.size(); ++i) {
    add_claim(
        page, results.claims[i],
        i < reported.directories.size() ? reported.directories[i] : ReportedClaims::Directories{});
  }
}

}  // namespace sluice::report
