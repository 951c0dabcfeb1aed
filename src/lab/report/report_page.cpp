#include "report/report_page.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/version.hpp"
#include "text_table.hpp"

namespace sluice::report {
namespace {

using nlohmann::json;

json axis_json(const Axis& axis) {
  return {{"label", axis.label},
          {"column", axis.column},
          {"scale", axis.scale},
          {"format", axis.format}};
}

bool has_intervals(const Chart& chart) {
  return std::any_of(chart.series.begin(), chart.series.end(),
                     [](const Series& series) { return !series.low.empty(); });
}

json chart_json(const Chart& chart) {
  json series = json::array();
  for (const Series& one : chart.series) {
    json entry = {
        {"name", one.name}, {"keys", one.keys}, {"x", one.x}, {"y", one.y}, {"color", one.color}};
    if (!one.low.empty()) {
      entry["low"] = one.low;
      entry["high"] = one.high;
    }
    if (one.marked >= 0) entry["marked"] = one.marked;
    series.push_back(std::move(entry));
  }
  return {{"label", chart.label},     {"kind", name_of(chart.kind)},  {"x", axis_json(chart.x)},
          {"y", axis_json(chart.y)},  {"keys", chart.keys},           {"series", series},
          {"ordered", chart.ordered}, {"reference", chart.reference}, {"summary", chart.summary}};
}

/// One line per point: the series' keys, x, y and the interval's ends.
std::string chart_csv(const Chart& chart) {
  const bool intervals = has_intervals(chart);
  std::vector<std::string> cells;
  for (const std::string& key : chart.keys) cells.push_back(csv_cell(key));
  cells.push_back(csv_cell(chart.x.column));
  cells.push_back(csv_cell(chart.y.column));
  if (intervals) cells.insert(cells.end(), {"low", "high"});
  std::string csv = csv_line(cells);
  for (const Series& series : chart.series) {
    std::string keys;
    for (const json& key : series.keys) keys += csv_cell(key) + ",";
    for (std::size_t i = 0; i < series.x.size(); ++i) {
      csv += keys + csv_cell(series.x[i]) + "," + csv_cell(series.y[i]);
      if (intervals) {
        const bool here = !series.low.empty();
        csv += "," + (here ? csv_cell(series.low[i]) : "") + "," +
               (here ? csv_cell(series.high[i]) : "");
      }
      csv += '\n';
    }
  }
  return csv;
}

std::string table_csv(const Table& table) {
  std::vector<std::string> cells;
  for (const auto& column : table.columns) cells.push_back(csv_cell(column.second));
  std::string csv = csv_line(cells);
  for (const auto& row : table.rows) {
    cells.clear();
    for (const Cell& cell : row) cells.push_back(csv_cell(cell.value));
    csv += csv_line(cells);
  }
  return csv;
}

json table_json(const Table& table) {
  json columns = json::array();
  for (const auto& column : table.columns) columns.push_back(column.second);
  json rows = json::array();
  for (const auto& row : table.rows) {
    json values = json::array();
    for (const Cell& cell : row) values.push_back(cell.value);
    rows.push_back(std::move(values));
  }
  return {{"columns", columns}, {"rows", rows}};
}

std::string table_row(const Table& table, std::size_t index) {
  std::string html = fmt::format("<tr data-row=\"{}\">", index);
  const auto& row = table.rows[index];
  for (std::size_t i = 0; i < row.size(); ++i) {
    const std::string text = row[i].tone.empty() ? escape(row[i].text)
                                                 : fmt::format("<span class=\"badge {}\">{}</span>",
                                                               row[i].tone, escape(row[i].text));
    if (i == 0) {
      html += fmt::format("<th scope=\"row\">{}</th>", text);
    } else {
      html += fmt::format(
          "<td{}>{}</td>",
          row[i].value.is_string() || row[i].value.is_boolean() ? "" : " class=\"n\"", text);
    }
  }
  return html + "</tr>\n";
}

/// Fills in {{NAME}} wherever `page` has it. What is put in is not looked at again.
std::string filled(std::string_view page,
                   const std::map<std::string_view, std::string_view>& parts) {
  std::string out;
  for (;;) {
    const std::size_t begin = page.find("{{");
    if (begin == std::string_view::npos) return out.append(page);
    const std::size_t end = page.find("}}", begin);
    out.append(page.substr(0, begin));
    out.append(parts.at(page.substr(begin + 2, end - begin - 2)));
    page.remove_prefix(end + 2);
  }
}

/// JSON that can stand in a script element: nothing in it begins a tag or a comment.
std::string script_json(const json& value) {
  const std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "\\u003c";
        break;
      case '>':
        out += "\\u003e";
        break;
      case '&':
        out += "\\u0026";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace

const EnumNames<ChartKind>& enum_names(ChartKind) {
  static const EnumNames<ChartKind> names("chart", {{ChartKind::line, "line"},
                                                    {ChartKind::step, "step"},
                                                    {ChartKind::points, "points"},
                                                    {ChartKind::bar, "bar"},
                                                    {ChartKind::stack, "stack"},
                                                    {ChartKind::interval, "interval"}});
  return names;
}

void Page::say(std::string_view verdict, const std::string& html) {
  verdicts_ +=
      fmt::format("<li>{} <span>{}</span></li>\n", verdict.empty() ? "" : badge(verdict), html);
}

void Page::fact(const std::string& term, const std::string& html) {
  facts_ += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>\n", escape(term), html);
}

void Page::section(const std::string& id, const std::string& title) {
  if (open_) body_ += "</section>\n";
  open_ = true;
  contents_ += fmt::format("<li><a href=\"#{}\">{}</a></li>\n", id, escape(title));
  body_ += fmt::format(
      "<section id=\"{0}\" aria-labelledby=\"{0}-title\"><h2 id=\"{0}-title\">{1}</h2>\n", id,
      escape(title));
}

void Page::add(const Figure& figure) {
  std::string ids;
  for (const Chart& chart : figure.views) {
    ids += (ids.empty() ? "" : " ") + chart.id;
    charts_[chart.id] = chart_json(chart);
    files_.emplace_back(chart.id, chart_csv(chart));
  }
  const Chart& first = figure.views.front();
  std::string links;
  for (const Chart& chart : figure.views) {
    links += fmt::format("<a href=\"report/{0}.csv\">{0}.csv</a> ", chart.id);
  }
  body_ += fmt::format(
      "<figure class=\"chart\" data-views=\"{0}\">\n<figcaption><h{6}>{1}</h{6}>{2}</figcaption>\n"
      "<div class=\"plot {3}\"></div>\n<noscript><p>{4} The numbers: "
      "{5}</p></noscript>\n</figure>\n",
      ids, escape(figure.title),
      figure.note.empty() ? "" : fmt::format("<p>{}</p>", escape(figure.note)), name_of(first.kind),
      escape(first.summary), links, figure.level);
}

void Page::add(const Table& table) {
  tables_[table.id] = table_json(table);
  files_.emplace_back(table.id, table_csv(table));
  std::string head;
  for (const auto& column : table.columns) {
    head += fmt::format("<th scope=\"col\">{}</th>", escape(column.first));
  }
  const std::size_t shown = std::min(table.shown, table.rows.size());
  std::string rows;
  for (std::size_t i = 0; i < shown; ++i) rows += table_row(table, i);
  const std::string rest =
      shown == table.rows.size()
          ? ""
          : fmt::format("{} of {} rows; the CSV has all. ", shown, table.rows.size());
  body_ += fmt::format(
      "<div class=\"table\"><div class=\"scroll\" tabindex=\"0\" role=\"region\" "
      "aria-label=\"{0}\">\n"
      "<table id=\"table-{1}\" "
      "class=\"sortable\"><caption>{0}</caption>\n<thead><tr>{2}</tr></thead>\n"
      "<tbody>\n{3}</tbody></table></div>\n"
      "<p class=\"under\">{4}<a class=\"csv\" href=\"report/{1}.csv\" download=\"{1}.csv\" "
      "data-table=\"{1}\">Download {1}.csv</a></p></div>\n",
      escape(table.caption), table.id, head, rows, rest);
}

std::string Page::html() const {
  const std::string data = script_json({{"charts", charts_}, {"tables", tables_}});
  // What may run carries this: nothing that text of the user's smuggles in could know it.
  const std::string nonce = checksum_hex(data.data(), data.size());
  const std::string body = body_ + (open_ ? "</section>\n" : "");
  const std::string title = escape(title_);
  const std::string version = escape(library_version());
  const Assets& parts = assets();
  return filled(parts.page, {{"title", title},
                             {"nonce", nonce},
                             {"version", version},
                             {"style", parts.style},
                             {"contents", contents_},
                             {"verdicts", verdicts_},
                             {"facts", facts_},
                             {"body", body},
                             {"data", data},
                             {"library", parts.library},
                             {"library_license", parts.library_license},
                             {"script", parts.script}});
}

}  // namespace sluice::report
