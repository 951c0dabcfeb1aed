// The report's sections on claims: each with its verdict, effects and intervals.

#include <fmt/format.h>

#include <algorithm>

#include "report_page.hpp"

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

std::string effect_text(const json& part) {
  const json effect = part.value("effect", json());
  if (!effect.is_number()) return "–";
  const std::string unit = text_of(part, "unit");
  return significant(effect) + (unit.empty() ? "" : " " + unit);
}

std::string part_label(const json& part, std::size_t index) {
  const std::string a = text_of(part, "a");
  const std::string b = text_of(part, "b");
  if (a.empty() && b.empty()) return fmt::format("Part {}", index + 1);
  return b.empty() ? a : a + " − " + b;
}

/// A figure with a view per unit that parts are measured in: effects in one unit share an axis.
Figure effects(const json& claim, const std::string& id) {
  Figure figure{"Effects", "Dots are effects, bars their confidence intervals.", {}, 4};
  const json& parts = claim.at("parts");
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const json& part = parts[i];
    if (!part.value("effect", json()).is_number()) continue;
    std::string unit = text_of(part, "unit");
    const std::string measure = text_of(part, "measure");
    const std::string label = unit.empty() ? measure : measure + ", " + unit;
    auto chart = std::find_if(figure.views.begin(), figure.views.end(),
                              [&](const Chart& view) { return view.label == label; });
    if (chart == figure.views.end()) {
      figure.views.push_back(
          {.id =
               fmt::format("{}-effects{}", id,
                           figure.views.empty() ? "" : fmt::format("-{}", figure.views.size() + 1)),
           .label = label,
           .kind = ChartKind::interval,
           .x = {"Comparison", "comparison", "category"},
           .y = {"Effect on " + label, "effect"},
           .keys = {"verdict"},
           .zero = true,
           .summary = "Effects on " + label + " with their confidence intervals."});
      chart = figure.views.end() - 1;
    }
    const std::string verdict = text_of(part, "verdict");
    auto series = std::find_if(chart->series.begin(), chart->series.end(),
                               [&](const Series& one) { return one.name == verdict; });
    if (series == chart->series.end()) {
      chart->series.push_back({.name = verdict,
                               .keys = {verdict},
                               .color = verdict == "holds"   ? 2U
                                        : verdict == "fails" ? 1U
                                                             : 0U});
      series = chart->series.end() - 1;
    }
    series->x.push_back(fmt::format("{}. {}", i + 1, part_label(part, i)));
    series->y.push_back(part["effect"]);
    series->low.push_back(part.value("low", json()));
    series->high.push_back(part.value("high", json()));
  }
  return figure;
}

Table parts_table(const json& claim, const std::string& id) {
  Table table{.id = id + "-parts",
              .caption = "Parts of the claim",
              .columns = {{"What should hold", "statement"},
                          {"Verdict", "verdict"},
                          {"Measure", "measure"},
                          {"First", "a"},
                          {"Second", "b"},
                          {"Effect", "effect"},
                          {"Low", "low"},
                          {"High", "high"},
                          {"Confidence", "confidence"},
                          {"n", "n"},
                          {"Unit", "unit"}}};
  for (const json& part : claim.at("parts")) {
    std::vector<Cell> row;
    for (const auto& column : table.columns) {
      const json value = part.value(column.second, json());
      if (column.second == "verdict") {
        row.push_back({value, text_of(part, "verdict"), tone_of(text_of(part, "verdict"))});
      } else if (value.is_number()) {
        row.push_back({value, column.second == "confidence" ? percent(value) : significant(value)});
      } else {
        row.push_back({value.is_null() ? value : json(text_of(part, column.second.c_str())),
                       value.is_null() ? "–" : text_of(part, column.second.c_str())});
      }
    }
    table.rows.push_back(std::move(row));
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
      table.rows.push_back({{title, title},
                            {verdict, verdict, tone_of(verdict)},
                            {text_of(part, "statement"), text_of(part, "statement")},
                            {of_part, of_part, tone_of(of_part)},
                            {part.value("effect", json()), effect_text(part)},
                            {part.value("low", json()), significant(part.value("low", json()))},
                            {part.value("high", json()), significant(part.value("high", json()))}});
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
    page.say(text_of(claim, "verdict"),
             fmt::format("<a href=\"#claim-{}\">{}</a>: {}", slug(text_of(claim, "name")),
                         escape(text_of(claim, "title")), escape(text_of(claim, "statement"))));
  }
  page.fact("Claims made",
            escape(text_of(file, "date")) + ", Sluice " + escape(text_of(file, "version")));

  page.section("claims", "Claims");
  page.add(claims_table(claims));
  for (const json& claim : claims) add_claim(page, claim);
}

}  // namespace sluice::report
