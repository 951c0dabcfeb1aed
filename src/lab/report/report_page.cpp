#include "report/report_page.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/version.hpp"
#include "sluice/lab/lab_directory.hpp"
#include "text_table.hpp"

namespace sluice::report {
namespace {

Value axis_value(const Axis& axis) {
  return Value::Object{{"label", axis.label},
                       {"column", axis.column},
                       {"scale", axis.scale},
                       {"format", axis.format}};
}

/// JSON has no infinities and no NaN: null stands for them.
Value finite(double number) { return std::isfinite(number) ? Value(number) : Value(); }

Value::List numbers(const std::vector<double>& values) {
  Value::List list;
  list.reserve(values.size());
  for (const double value : values) list.push_back(finite(value));
  return list;
}

template <class T>
Value::List list(const std::vector<T>& values) {
  return {values.begin(), values.end()};
}

bool has_intervals(const Chart& chart) {
  return std::any_of(chart.series.begin(), chart.series.end(),
                     [](const Series& series) { return !series.low.empty(); });
}

/// Where the page finds the CSV of a chart or a table.
std::string csv_place(const std::string& id) {
  return fmt::format("{}/{}.csv", LabDirectory::report_tables_name, id);
}

void check_lengths(const Chart& chart) {
  for (const Series& series : chart.series) {
    const std::size_t points = series.x.size();
    const bool interval = !series.low.empty() || !series.high.empty();
    if (series.y.size() == points &&
        (!interval || (series.low.size() == points && series.high.size() == points))) {
      continue;
    }
    throw Error(
        fmt::format("report: chart '{}' has a series of {} places, {} values and {} to {} "
                    "ends of intervals: expected as many of each",
                    chart.id, points, series.y.size(), series.low.size(), series.high.size()));
  }
}

Value chart_value(const Chart& chart) {
  Value::List all;
  for (const Series& one : chart.series) {
    Value series = Value::Object{{"name", one.name},
                                 {"keys", one.keys},
                                 {"x", one.x},
                                 {"y", numbers(one.y)},
                                 {"color", static_cast<std::int64_t>(one.color)}};
    if (!one.low.empty()) {
      series.set("low", numbers(one.low));
      series.set("high", numbers(one.high));
    }
    if (one.marked >= 0) series.set("marked", one.marked);
    all.push_back(std::move(series));
  }
  return Value::Object{{"label", chart.label},
                       {"kind", name_of(chart.kind)},
                       {"x", axis_value(chart.x)},
                       {"y", axis_value(chart.y)},
                       {"keys", list(chart.keys)},
                       {"series", std::move(all)},
                       {"ordered", chart.ordered},
                       {"reference", chart.reference ? Value(*chart.reference) : Value()},
                       {"summary", chart.summary}};
}

/// One line per point: the series' keys, x, y and the interval's ends.
std::string chart_csv(const Chart& chart) {
  const bool intervals = has_intervals(chart);
  std::vector<Value> header = list(chart.keys);
  header.emplace_back(chart.x.column);
  header.emplace_back(chart.y.column);
  if (intervals) header.insert(header.end(), {"low", "high"});
  std::string csv = csv_values(header);
  for (const Series& series : chart.series) {
    for (std::size_t i = 0; i < series.x.size(); ++i) {
      std::vector<Value> line = series.keys;
      line.push_back(series.x[i]);
      line.emplace_back(series.y[i]);
      if (intervals) {
        line.push_back(series.low.empty() ? Value() : Value(series.low[i]));
        line.push_back(series.high.empty() ? Value() : Value(series.high[i]));
      }
      csv += csv_values(line);
    }
  }
  return csv;
}

std::vector<Value> values_of(const std::vector<Cell>& row) {
  std::vector<Value> values;
  values.reserve(row.size());
  for (const Cell& cell : row) values.push_back(cell.value);
  return values;
}

std::string table_csv(const Table& table) {
  std::vector<Value> header;
  for (const auto& column : table.columns) header.emplace_back(column.second);
  std::string csv = csv_values(header);
  for (const auto& row : table.rows) csv += csv_values(values_of(row));
  return csv;
}

Value table_value(const Table& table) {
  Value::List columns;
  for (const auto& column : table.columns) columns.emplace_back(column.second);
  Value::List rows;
  for (const auto& row : table.rows) rows.emplace_back(values_of(row));
  return Value::Object{{"columns", std::move(columns)}, {"rows", std::move(rows)}};
}

Html table_row(const Table& table, std::size_t index) {
  Html cells;
  const auto& row = table.rows[index];
  for (std::size_t i = 0; i < row.size(); ++i) {
    const Cell& cell = row[i];
    const Html text = cell.tone.empty()
                          ? Html(cell.text)
                          : markup("<span class=\"badge {}\">{}</span>", cell.tone, cell.text);
    const bool words = cell.value.as<std::string>() != nullptr || cell.value.as<bool>() != nullptr;
    if (i == 0) {
      cells += markup("<th scope=\"row\">{}</th>", text);
    } else if (words) {
      cells += markup("<td>{}</td>", text);
    } else {
      cells += markup("<td class=\"n\">{}</td>", text);
    }
  }
  return markup("<tr data-row=\"{}\">{}</tr>\n", index, cells);
}

/// Fills in {{NAME}} wherever `page` has it. Inserted text is not searched again.
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
std::string script_json(const Value& value) {
  const std::string text = json_text(value);
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

void Page::say(std::string_view verdict, const Html& sentence) {
  verdicts_ +=
      markup("<li>{} <span>{}</span></li>\n", verdict.empty() ? Html() : badge(verdict), sentence);
}

void Page::fact(const Html& term, const Html& description) {
  facts_ += markup("<div><dt>{}</dt><dd>{}</dd></div>\n", term, description);
}

void Page::section(const std::string& id, const std::string& title) {
  if (open_) body_ += markup("</section>\n");
  open_ = true;
  contents_ += markup("<li><a href=\"#{}\">{}</a></li>\n", id, title);
  body_ +=
      markup("<section id=\"{0}\" aria-labelledby=\"{0}-title\"><h2 id=\"{0}-title\">{1}</h2>\n",
             id, title);
}

void Page::add(const Figure& figure) {
  std::string ids;
  Html links;
  for (const Chart& chart : figure.views) {
    check_lengths(chart);
    ids += (ids.empty() ? "" : " ") + chart.id;
    links += markup("<a href=\"{}\">{}.csv</a> ", csv_place(chart.id), chart.id);
    charts_.set(chart.id, chart_value(chart));
    files_.emplace_back(chart.id, chart_csv(chart));
  }
  const Chart& first = figure.views.front();
  body_ += markup(
      "<figure class=\"chart\" data-views=\"{0}\">\n<figcaption><h{6}>{1}</h{6}>{2}</figcaption>\n"
      "<div class=\"plot {3}\"></div>\n<noscript><p>{4} The numbers: "
      "{5}</p></noscript>\n</figure>\n",
      ids, figure.title, figure.note.empty() ? Html() : markup("<p>{}</p>", figure.note),
      name_of(first.kind), first.summary, links, figure.level);
}

void Page::add(const Table& table) {
  tables_.set(table.id, table_value(table));
  files_.emplace_back(table.id, table_csv(table));
  Html head;
  for (const auto& column : table.columns) {
    head += markup("<th scope=\"col\">{}</th>", column.first);
  }
  const std::size_t shown = std::min(table.shown, table.rows.size());
  Html rows;
  for (std::size_t i = 0; i < shown; ++i) rows += table_row(table, i);
  const std::string rest =
      shown == table.rows.size()
          ? ""
          : fmt::format("{} of {} rows; the CSV has all. ", shown, table.rows.size());
  body_ += markup(
      "<div class=\"table\"><div class=\"scroll\" tabindex=\"0\" role=\"region\" "
      "aria-label=\"{0}\">\n"
      "<table id=\"table-{1}\" "
      "class=\"sortable\"><caption>{0}</caption>\n<thead><tr>{2}</tr></thead>\n"
      "<tbody>\n{3}</tbody></table></div>\n"
      "<p class=\"under\">{4}<a class=\"csv\" href=\"{5}\" download=\"{1}.csv\" "
      "data-table=\"{1}\">Download {1}.csv</a></p></div>\n",
      table.caption, table.id, head, rows, rest, csv_place(table.id));
}

std::string Page::html() const {
  const std::string data = script_json(Value::Object{{"charts", charts_}, {"tables", tables_}});
  // Only elements with this nonce run; text that a user brings in cannot know it.
  const std::string nonce = checksum_hex(data.data(), data.size());
  const std::string body = body_.str() + (open_ ? "</section>\n" : "");
  const std::string title = escape(title_);
  const std::string version = escape(library_version());
  const Assets& parts = assets();
  return filled(parts.page, {{"title", title},
                             {"nonce", nonce},
                             {"version", version},
                             {"style", parts.style},
                             {"contents", contents_.str()},
                             {"verdicts", verdicts_.str()},
                             {"facts", facts_.str()},
                             {"body", body},
                             {"data", data},
                             {"library", parts.library},
                             {"library_license", parts.library_license},
                             {"script", parts.script}});
}

}  // namespace sluice::report
