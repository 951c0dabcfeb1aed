// The report's sections on claims: each with its verdict, effects and intervals.

#include <fmt/format.h>

#include <algorithm>

#include "report/report_page.hpp"

namespace sluice::report {
namespace {

using nlohmann::json;

std::string text_of(const json& object, const char* name) {
  const auto value = object.find(name);
  if (value == object.end() || value->is_null()) return "";
  return value->is_string() ? value->get<std::string>() : value->dump();
}

std::size_t with_verdict(const json& claims, std::string_view verdict) {
  return static_cast<std::size_t>(
      std::count_if(claims.begin(), claims.end(),
                    [&](const json& claim) { return text_of(claim, "verdict") == verdict; }));
}

bool has_number(const json& object, const char* name) {
  const auto value = object.find(name);
  return value != object.end() && value->is_number();
}

json number_of(const json& object, const char* name) {
  return has_number(object, name) ? object[name] : json();
}

/// What a part is about on side "a" or "b", in words: `side_a`, or `a` where that is a name.
std::string side_of(const json& part, const std::string& side) {
  const std::string words = text_of(part, ("side_" + side).c_str());
  return !words.empty() || has_number(part, side.c_str()) ? words : text_of(part, side.c_str());
}

/// What the effect is an effect on: "loss", "lag_gradient at 64".
std::string measure_of(const json& part) {
  const std::string at = has_number(part, "at") ? " at " + significant(part["at"]) : "";
  return text_of(part, "measure") + at;
}

/// "nats per token", or "times" for ratios.
std::string unit_of(const json& part) {
  return text_of(part, "kind") == "ratio" ? "times" : text_of(part, "unit");
}

std::string effect_text(const json& part) {
  if (!has_number(part, "effect")) return "–";
  const std::string unit = unit_of(part);
  return significant(part["effect"]) + (unit.empty() ? "" : " " + unit);
}

/// "-0.12 nats per token (-0.16 to -0.08)".
std::string effect_and_interval(const json& part) {
  std::string text = effect_text(part);
  if (has_number(part, "low") && has_number(part, "high")) {
    text += fmt::format(" ({} to {})", significant(part["low"]), significant(part["high"]));
  }
  return text;
}

/// "below 0": what the claim says of the effect.
std::string expectation(const json& part) {
  const std::string expect = text_of(part, "expect");
  if (expect.empty() || !has_number(part, "threshold")) return "";
  const char* word = expect == "less" ? "below" : expect == "greater" ? "above" : "within";
  return fmt::format("{} {}", word, significant(part["threshold"]));
}

/// The effect that the claim's verdict turns on.
json threshold_of(const json& part) {
  if (has_number(part, "threshold")) return part["threshold"];
  return text_of(part, "kind") == "ratio" ? 1 : 0;
}

std::string part_label(const json& part, std::size_t index) {
  std::string words = text_of(part, "statement");
  if (words.empty()) words = side_of(part, "a") + " − " + side_of(part, "b");
  return fmt::format("{}. {}", index + 1, words);
}

std::size_t color_of(std::string_view verdict) {
  return verdict == "holds" ? 2 : verdict == "fails" ? 1 : 0;
}

/// The view of effects that are measured as this part's are, made when there is none yet.
Chart& view_for(Figure& figure, const json& part, const std::string& id) {
  const std::string unit = unit_of(part);
  const std::string label = measure_of(part) + (unit.empty() ? "" : ", " + unit);
  const json threshold = threshold_of(part);
  const auto found = std::find_if(figure.views.begin(), figure.views.end(), [&](const Chart& view) {
    return view.label == label && view.reference == threshold;
  });
  if (found != figure.views.end()) return *found;
  const std::string number =
      figure.views.empty() ? "" : fmt::format("-{}", figure.views.size() + 1);
  // Effects of 2 and of 1/2 are as far from none.
  const char* scale = text_of(part, "kind") == "ratio" ? "log" : "linear";
  figure.views.push_back({.id = id + "-effects" + number,
                          .label = label,
                          .kind = ChartKind::interval,
                          .x = {"Part", "part", "category"},
                          .y = {"Effect on " + label, "effect", scale},
                          .keys = {"verdict"},
                          .reference = threshold,
                          .summary = "Effects on " + label + " with their confidence intervals."});
  return figure.views.back();
}

/// Effects in one unit share an axis.
Figure effects(const json& claim, const std::string& id) {
  Figure figure{
      "Effects",
      "Dots are effects, bars their intervals; the line is where the claim begins to hold, or to "
      "fail.",
      {},
      4};
  const json& parts = claim.at("parts");
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const json& part = parts[i];
    if (!has_number(part, "effect")) continue;
    Chart& chart = view_for(figure, part, id);
    const std::string verdict = text_of(part, "verdict");
    auto series = std::find_if(chart.series.begin(), chart.series.end(),
                               [&](const Series& one) { return one.name == verdict; });
    if (series == chart.series.end()) {
      chart.series.push_back({.name = verdict, .keys = {verdict}, .color = color_of(verdict)});
      series = chart.series.end() - 1;
    }
    series->x.push_back(part_label(part, i));
    series->y.push_back(part["effect"]);
    series->low.push_back(number_of(part, "low"));
    series->high.push_back(number_of(part, "high"));
  }
  return figure;
}

Table parts_table(const json& claim, const std::string& id) {
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
                          {"Claimed", "claimed"},
                          {"Seeds", "n"}}};
  for (const json& part : claim.at("parts")) {
    const auto words = [](const std::string& text) { return Cell{text, text}; };
    const auto value = [&part](const char* name) {
      return Cell{number_of(part, name), significant(number_of(part, name))};
    };
    const std::string verdict = text_of(part, "verdict");
    table.rows.push_back({words(text_of(part, "statement")),
                          {verdict, verdict, tone_of(verdict)},
                          words(measure_of(part)),
                          words(side_of(part, "a")),
                          value("a"),
                          words(side_of(part, "b")),
                          value("b"),
                          {number_of(part, "effect"), effect_text(part)},
                          value("low"),
                          value("high"),
                          words(expectation(part)),
                          value("n")});
  }
  return table;
}

Table claims_table(const json& claims) {
  Table table{.id = "claims",
              .caption = "Claims and what came of them",
              .columns = {{"Claim", "claim"},
                          {"Verdict", "verdict"},
                          {"Part", "part"},
                          {"Part’s verdict", "part_verdict"},
                          {"Effect", "effect"},
                          {"Low", "low"},
                          {"High", "high"}}};
  for (const json& claim : claims) {
    const std::string title = text_of(claim, "title");
    const std::string verdict = text_of(claim, "verdict");
    for (const json& part : claim.at("parts")) {
      const std::string of_part = text_of(part, "verdict");
      const std::string statement = text_of(part, "statement");
      table.rows.push_back({{title, title},
                            {verdict, verdict, tone_of(verdict)},
                            {statement, statement},
                            {of_part, of_part, tone_of(of_part)},
                            {number_of(part, "effect"), effect_text(part)},
                            {number_of(part, "low"), significant(number_of(part, "low"))},
                            {number_of(part, "high"), significant(number_of(part, "high"))}});
    }
  }
  return table;
}

void add_row(std::string& list, const std::string& term, const std::string& html) {
  if (!html.empty()) list += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>\n", term, html);
}

/// What a person needs to judge the claim or run it again.
std::string particulars(const json& claim) {
  std::string list;
  add_row(list, "Source", escape(text_of(claim, "source")));
  add_row(list, "Budget", escape(text_of(claim, "budget")));
  if (claim.value("seconds", json()).is_number())
    add_row(list, "Took", span_of_time(claim["seconds"]));
  const std::string command = text_of(claim, "command");
  if (!command.empty()) add_row(list, "Command", "<code>" + escape(command) + "</code>");
  std::string links;
  for (const json& directory : claim.value("directories", json::array())) {
    const auto name = directory.get<std::string>();
    links += fmt::format("<a href=\"{}/report.html\">{}</a> ", url(name), escape(name));
  }
  add_row(list, "Runs", links);
  for (const json& unread : claim.value("unread", json::array())) {
    add_row(list, "Not shown", escape(unread.get<std::string>()));
  }
  return list.empty() ? "" : "<dl class=\"facts\">" + list + "</dl>\n";
}

void add_claim(Page& page, const json& claim) {
  const std::string name = text_of(claim, "name");
  const std::string id = "claim-" + slug(name);
  page.add(
      fmt::format("<article class=\"claim\" id=\"{0}\" aria-labelledby=\"{0}-title\">\n"
                  "<h3 id=\"{0}-title\">{1} {2}</h3>\n<p>{3}</p>\n",
                  id, escape(text_of(claim, "title")), badge(text_of(claim, "verdict")),
                  escape(text_of(claim, "statement"))));
  if (const Figure figure = effects(claim, id); !figure.views.empty()) page.add(figure);
  if (!claim.at("parts").empty()) page.add(parts_table(claim, id));
  page.add(particulars(claim) + "</article>\n");
}

}  // namespace

void add_claims(Page& page, const json& file) {
  page.set_title("Claims about units and models");
  const json& claims = file.at("claims");
  page.say("",
           fmt::format(
               "Of {} claim{}, <b>{} hold{}</b>, <b>{} fail{}</b> and <b>{} {} inconclusive</b> "
               "at this budget.",
               claims.size(), claims.size() == 1 ? "" : "s", with_verdict(claims, "holds"),
               with_verdict(claims, "holds") == 1 ? "s" : "", with_verdict(claims, "fails"),
               with_verdict(claims, "fails") == 1 ? "s" : "", with_verdict(claims, "inconclusive"),
               with_verdict(claims, "inconclusive") == 1 ? "is" : "are"));
  if (file.value("quick", false)) {
    page.say("note", "A quick run: smaller models and budgets, so that much stays undecided.");
  }
  for (const json& claim : claims) {
    const json& parts = claim.at("parts");
    page.say(text_of(claim, "verdict"),
             fmt::format("<a href=\"#claim-{}\">{}</a>: {}{}", slug(text_of(claim, "name")),
                         escape(text_of(claim, "title")), escape(text_of(claim, "statement")),
                         parts.size() == 1 && has_number(parts[0], "effect")
                             ? escape(" The effect is " + effect_and_interval(parts[0]) + ".")
                             : ""));
  }
  page.fact("Claims made",
            escape(text_of(file, "date")) + ", Sluice " + escape(text_of(file, "version")));

  page.section("claims", "Claims");
  page.add(claims_table(claims));
  for (const json& claim : claims) add_claim(page, claim);
}

}  // namespace sluice::report
