// The report's text, shaded by how surprising each token is.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "report/report_page.hpp"

namespace sluice::report {
namespace {

using Surprisal = std::vector<TokenSurprisal>;

constexpr int shades = 12;

/// The nats at which the darkest shade begins, so that at most one token in twenty has it.
double darkest_of(const Surprisal& surprisal) {
  std::vector<double> nats;
  for (const TokenSurprisal& token : surprisal) {
    if (std::isfinite(token.nats)) nats.push_back(token.nats);
  }
  if (nats.empty()) return 1;
  const auto high = nats.begin() + static_cast<std::ptrdiff_t>(nats.size() * 19 / 20);
  std::nth_element(nats.begin(), high, nats.end());
  return std::max(1.0, std::ceil(*high));
}

/// The darkest for what is infinite or not a number, too.
int shade_of(double nats, double darkest) {
  if (!(nats < darkest)) return shades - 1;
  return static_cast<int>(std::max(nats / darkest * shades, 0.0));
}

/// A token as it appears in the text. Tokenizers spell out line ends (<eos>), blanks (the ▁ of
/// subwords) and bytes that are not letters (<0x20>).
std::string as_text(const TokenSurprisal& token) {
  std::string text = token.text;
  if (text == "<eos>" || text == "</s>" || text == "<0x0A>") return "\n";
  if (text == "<0x20>") return " ";
  static const std::string mark = "▁";
  for (std::size_t at = text.find(mark); at != std::string::npos; at = text.find(mark)) {
    text.replace(at, mark.size(), " ");
  }
  return text;
}

/// The text with control characters and line ends made visible.
std::string visible(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') {
      out += "⏎\n";
    } else if (c == '\t') {
      out += "⇥\t";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += "�";
    } else {
      out += c;
    }
  }
  return out;
}

/// In a table, where a blank alone would not be seen.
std::string in_table(const std::string& text) {
  return text == " " ? "␣" : text == "\n" ? "⏎" : text;
}

/// Whether tokens are words, without the blanks between them.
bool are_words(const Surprisal& surprisal) {
  std::size_t longer = 0;
  for (const TokenSurprisal& token : surprisal) {
    const std::string text = as_text(token);
    if (text.find_first_of(" \t") != std::string::npos) return false;
    if (text.size() > 1 && text.front() != '<') ++longer;
  }
  return 2 * longer > surprisal.size();
}

Html heat_map(const Surprisal& surprisal, double darkest) {
  const bool words = are_words(surprisal);
  Html html;
  for (const TokenSurprisal& token : surprisal) {
    const std::string text = as_text(token);
    html += std::isfinite(token.nats)
                ? markup("<span class=\"s{}\" data-nats=\"{:.4g}\">{}</span>",
                         shade_of(token.nats, darkest), token.nats, visible(text))
                : markup("<span>{}</span>", visible(text));
    if (words && text != "\n") html += " ";
  }
  return html;
}

Html scale(double darkest) {
  Html html = markup("<p class=\"scale\" aria-hidden=\"true\">0 ");
  for (int i = 0; i < shades; ++i) html += markup("<span class=\"s{}\"> </span>", i);
  html += markup(" {:g}+ nats</p>\n", darkest);
  return html;
}

}  // namespace

void add_surprisal(Page& page, const Inspection& inspection) {
  const Surprisal& surprisal = inspection.surprisal;
  if (surprisal.empty()) return;
  Table table{.id = "surprisal",
              .caption = "The most surprising tokens",
              .columns = {{"Token", "token"},
                          {"Position", "position"},
                          {"Nats", "nats"},
                          {"Probability", "probability"}}};
  double sum = 0;
  std::int64_t position = 0;
  for (const TokenSurprisal& token : surprisal) {
    const double probability = std::isfinite(token.nats) ? std::exp(-token.nats) : no_measure;
    if (std::isfinite(token.nats)) sum += token.nats;
    table.rows.push_back({{token.text, in_table(as_text(token))},
                          {position, count(static_cast<double>(position))},
                          {token.nats, fixed(token.nats, 3)},
                          {probability, significant(probability, 3)}});
    ++position;
  }
  const double darkest = darkest_of(surprisal);
  const double mean = sum / static_cast<double>(surprisal.size());
  const auto nats_of = [](const std::vector<Cell>& row) {
    const double nats = *row[2].value.as<double>();
    return std::isfinite(nats) ? nats : -std::numeric_limits<double>::infinity();
  };
  std::stable_sort(table.rows.begin(), table.rows.end(),
                   [&](const auto& a, const auto& b) { return nats_of(a) > nats_of(b); });
  table.shown = 10;

  page.section("surprisal", "Surprisal over the text");
  page.add(markup(
      "<p>The stronger the shade of a token, the less the model expected it: −ln p, {:.3f} nats on "
      "average over "
      "{} tokens, "
      "a perplexity of {:.2f}. Point at a token, or go through them with the arrow keys.</p>\n{}"
      "<p class=\"readout\" id=\"readout\" aria-live=\"polite\"></p>\n"
      "<div class=\"heat\" id=\"heat\" tabindex=\"0\" role=\"group\" "
      "aria-label=\"The text, shaded by surprisal; arrow keys read it token by token\">{}</div>\n",
      mean, count(static_cast<double>(surprisal.size())), std::exp(mean), scale(darkest),
      heat_map(surprisal, darkest)));
  page.add(table);
}

}  // namespace sluice::report
