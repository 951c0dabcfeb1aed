#pragma once
// What the report is put together from: text, tables and charts, and the CSV of each.

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sluice/base/names.hpp"

namespace sluice::report {

/// `text` with whatever HTML would read as markup written as entities.
std::string escape(std::string_view text);
/// `text` as part of a URL: everything but letters, digits and -._~/ as %XX.
std::string url(std::string_view text);
/// `text` as an id: letters, digits and dashes.
std::string slug(std::string_view text);
/// Numbers as the page shows them; what is null, or no number, is a dash.
std::string fixed(const nlohmann::json& value, int digits);
std::string significant(const nlohmann::json& value, int digits = 4);
std::string percent(const nlohmann::json& value);
std::string count(const nlohmann::json& value);
/// 12345678 as "12.3 MB".
std::string bytes(const nlohmann::json& value);
/// As sluice::span_of_time() (base/numbers.hpp).
std::string span_of_time(const nlohmann::json& value);

/// One line, set of bars, or set of points with their intervals.
struct Series {
  /// In the legend.
  std::string name = {};
  /// What tells it apart in the CSV: its cells of Chart::keys.
  std::vector<nlohmann::json> keys = {};
  /// Lists of one length; x are numbers, or strings on an axis of categories. low and high are the
  /// ends of intervals, or empty.
  nlohmann::json x = nlohmann::json::array();
  nlohmann::json y = nlohmann::json::array();
  nlohmann::json low = nlohmann::json::array();
  nlohmann::json high = nlohmann::json::array();
  /// Which of the page's colours; series of one variant share it over all charts.
  std::size_t color = 0;
  /// Index of the point that is marked; negative: none.
  std::int64_t marked = -1;
};

struct Axis {
  std::string label = {};
  /// Its column in the CSV.
  std::string column = {};
  /// "linear", "log" or "category".
  std::string scale = "linear";
  /// "number", "count", "seconds" or "percent".
  std::string format = "number";
};

/// What a chart looks like: lines (with bands where there are intervals), steps, points with error
/// bars on lines, bars, bars on one another, or points with intervals lying in rows.
enum class ChartKind : std::uint8_t { line, step, points, bar, stack, interval };
/// "line", "step", ...
const EnumNames<ChartKind>& enum_names(ChartKind);

struct Chart {
  /// Unique in the page: its CSV is report/ID.csv.
  std::string id = {};
  /// Its name among the views of a figure.
  std::string label = {};
  ChartKind kind = ChartKind::line;
  Axis x = {}, y = {};
  /// The CSV's first columns.
  std::vector<std::string> keys = {};
  std::vector<Series> series = {};
  /// A value that the others are held against, marked by a line; null: none.
  nlohmann::json reference = {};
  /// Colours that follow an order (layers) rather than telling names apart.
  bool ordered = false;
  /// What it shows, in a sentence, for those who do not see it.
  std::string summary = {};
};

/// A heading with one or more charts to choose from.
struct Figure {
  std::string title = {};
  /// A sentence on how to read it.
  std::string note = {};
  std::vector<Chart> views = {};
  /// Of its heading.
  int level = 3;
};

struct Cell {
  nlohmann::json value = {};
  /// As shown (not escaped).
  std::string text = {};
  /// Of "good", "bad", "even" or none: a verdict.
  std::string tone = {};
};

struct Table {
  /// Unique in the page: its CSV is report/ID.csv.
  std::string id = {};
  std::string caption = {};
  /// Heading and column of the CSV.
  std::vector<std::pair<std::string, std::string>> columns = {};
  std::vector<std::vector<Cell>> rows = {};
  /// Rows beyond these are in the CSV only.
  std::size_t shown = 200;
};

/// The verdict's tone: "good", "bad", "even".
std::string tone_of(std::string_view verdict);
/// A verdict as a coloured word, HTML.
std::string badge(std::string_view verdict);

/// Collects the page's parts in order.
class Page {
 public:
  /// A sentence for the top of the page (HTML), with its verdict as a badge ("" for none).
  void say(std::string_view verdict, const std::string& html);
  /// Begins a section, which what follows belongs to.
  void section(const std::string& id, const std::string& title);
  /// Appends HTML.
  void add(const std::string& html) { body_ += html; }
  void add(const Figure& figure);
  void add(const Table& table);

  /// The first call wins.
  void set_title(const std::string& title) {
    if (title_.empty()) title_ = title;
  }
  /// A fact on how the numbers came about: a term and what there is to say (HTML).
  void fact(const std::string& term, const std::string& html);

  /// The file.
  std::string html() const;
  /// Name (without .csv) and text of every chart's and table's CSV.
  const std::vector<std::pair<std::string, std::string>>& files() const { return files_; }

 private:
  std::string title_;
  std::string verdicts_;
  std::string facts_;
  std::string contents_;
  std::string body_;
  nlohmann::json charts_ = nlohmann::json::object();
  nlohmann::json tables_ = nlohmann::json::object();
  std::vector<std::pair<std::string, std::string>> files_;
  bool open_ = false;
};

void add_comparison(Page& page, const nlohmann::json& results);
/// Its parts in report_verdicts.cpp: what came of it in words, and how it was made.
void say_verdicts(Page& page, const nlohmann::json& results);
void add_facts(Page& page, const nlohmann::json& results);
/// The variant of the lowest mean loss; null when all diverged.
const nlohmann::json* best_variant(const nlohmann::json& results);
/// Whether a pair is one with the variant `name`.
bool between(const nlohmann::json& pair, const nlohmann::json& name);

void add_inspection(Page& page, const nlohmann::json& inspection);
/// Its part on the text, in report_surprisal.cpp.
void add_surprisal(Page& page, const nlohmann::json& inspection);
void add_claims(Page& page, const nlohmann::json& claims);

/// Parts of the page made at build time from src/lab/report/ and the chart library.
struct Assets {
  std::string_view page, style, script, library, library_license;
};
const Assets& assets();

}  // namespace sluice::report
