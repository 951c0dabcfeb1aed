#pragma once
// The building blocks of the report: text, tables and charts, and the CSV of each.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "report/html.hpp"
#include "sluice/base/names.hpp"
#include "sluice/base/value.hpp"
#include "sluice/lab/claims/claim_results.hpp"
#include "sluice/lab/compare/results.hpp"
#include "sluice/lab/compare/run.hpp"
#include "sluice/lab/inspect/inspection.hpp"

namespace sluice::report {

/// `text` as part of a URL: everything but letters, digits and -._~/ as %XX.
std::string url(std::string_view text);
/// `text` as an id: letters, digits and dashes.
std::string slug(std::string_view text);
/// Numbers as the page shows them; those that are not finite are a dash.
std::string fixed(double number, int digits);
std::string significant(double number, int digits = 4);
std::string percent(double share);
std::string count(double number);
/// 12345678 as "12.3 MB".
std::string bytes(double number);
/// As sluice::span_of_time() (base/numbers.hpp).
std::string span_of_time(double seconds);

/// One line, set of bars, or set of points with their intervals. The lists have one length; low and
/// high may be empty.
struct Series {
  /// In the legend.
  std::string name = {};
  /// What tells it apart in the CSV: its cells of Chart::keys.
  std::vector<Value> keys = {};
  /// Numbers, or text on an axis of categories.
  std::vector<Value> x = {};
  /// Numbers that are not finite are gaps.
  std::vector<double> y = {};
  /// The ends of intervals.
  std::vector<double> low = {}, high = {};
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
/// bars on lines, bars, stacked bars, or points with intervals lying in rows.
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
  /// A value that the others are compared with, marked by a line.
  std::optional<double> reference = {};
  /// Whether colours follow an order (layers) instead of distinguishing names.
  bool ordered = false;
  /// A one-sentence description for those who cannot see the chart.
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
  /// In the CSV, and for sorting.
  Value value = {};
  /// As shown.
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
/// A verdict as a coloured word.
Html badge(std::string_view verdict);

/// Collects the page's parts in order.
class Page {
 public:
  /// A sentence for the top of the page, with its verdict as a badge ("" for none).
  void say(std::string_view verdict, const Html& sentence);
  /// Begins a section, which what follows belongs to.
  void section(const std::string& id, const std::string& title);
  void add(const Html& html) { body_ += html; }
  /// Throws Error when the lists of a series differ in length.
  void add(const Figure& figure);
  void add(const Table& table);

  /// The first call wins.
  void set_title(const std::string& title) {
    if (title_.empty()) title_ = title;
  }
  /// A fact about how the numbers were made: a term and its description.
  void fact(const Html& term, const Html& description);

  /// The file.
  std::string html() const;
  /// Name (without .csv) and text of every chart's and table's CSV.
  const std::vector<std::pair<std::string, std::string>>& files() const { return files_; }

 private:
  std::string title_;
  Html verdicts_;
  Html facts_;
  Html contents_;
  Html body_;
  Value charts_ = Value::Object{};
  Value tables_ = Value::Object{};
  std::vector<std::pair<std::string, std::string>> files_;
  bool open_ = false;
};

/// A comparison, and the histories of its runs that could be read.
struct ReportedResults {
  Results results;
  /// By index in results.runs.
  std::vector<std::optional<RunCurves>> histories;
  /// Why others could not be.
  std::vector<std::string> missing;
};

/// Claims, with what there is of reports on the comparisons they were decided by.
struct ReportedClaims {
  struct Directories {
    /// Those that were reported on.
    std::vector<std::string> found;
    /// Why others could not be.
    std::vector<std::string> unread;
  };
  ClaimResults results;
  /// By index in results.claims.
  std::vector<Directories> directories;
};

void add_comparison(Page& page, const ReportedResults& reported);
/// Its parts in report_verdicts.cpp: what came of it in words, and how it was made.
void say_verdicts(Page& page, const Results& results);
void add_facts(Page& page, const Results& results);
/// The variant of the lowest mean loss; null when all diverged.
const VariantResult* best_variant(const Results& results);

void add_inspection(Page& page, const Inspection& inspection);
/// Its part on the text, in report_surprisal.cpp.
void add_surprisal(Page& page, const Inspection& inspection);
void add_claims(Page& page, const ReportedClaims& reported);

/// Parts of the page made at build time from src/lab/report/ and the chart library.
struct Assets {
  std::string_view page, style, script, library, library_license;
};
const Assets& assets();

}  // namespace sluice::report
