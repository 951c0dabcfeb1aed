// The report's text, shaded by how surprising each token is.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/report_page.hpp"

namespace sluice::report {
namespace {

using nlohmann::json;

constexpr int shades = 12;

/// The nats at which the darkest shade begins: one token in twenty has it, or fewer.
double darkest_of(const json& surprisal) {
  std::vector<double> nats;
  for (const json& token : surprisal) {
    if (token.at("nats").is_number()) nats.push_back(token["nats"].get<double>());
  }
  if (nats.empty()) return 1;
  const auto high = nats.begin() + static_cast<std::ptrdiff_t>(nats.size() * 19 / 20);
  std::nth_element(nats.begin(), high, nats.end());
  return std::max(1.0, std::ceil(*high));
}

int shade_of(double nats, double darkest) {
  return std::clamp(static_cast<int>(nats / darkest * shades), 0, shades - 1);
}

/// A token as the text has it: tokenizers write out what ends a line (<eos>), blanks (▁ of
/// subwords) and bytes that are no letters (<0x20>).
std::string as_text(const json& token) {
  auto text = token.at("text").get<std::string>();
  if (text == "<eos>" || text == "</s>" || text == "<0x0A>") return "\n";
  if (text == "<0x20>") return " ";
  static const std::string mark = "▁";
  for (std::size_t at = text.find(mark); at != std::string::npos; at = text.find(mark)) {
    text.replace(at, mark.size(), " ");
  }
  return text;
}

/// With what has no shape of its own made visible.
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
  return escape(out);
}

/// In a table, where a blank alone would not be seen.
std::string in_table(const std::string& text) {
  return text == " " ? "␣" : text == "\n" ? "⏎" : text;
}

/// Whether tokens are words, without the blanks between them.
bool are_words(const json& surprisal) {
  std::size_t longer = 0;
  for (const json& token : surprisal) {
    const std::string text = as_text(token);
    if (text.find_first_of(" \t") != std::string::npos) return false;
    if (text.size() > 1 && text.front() != '<') ++longer;
  }
  return 2 * longer > surprisal.size();
}

std::string heat_map(const json& surprisal, double darkest) {
  const bool words = are_words(surprisal);
  std::string html;
  for (const json& token : surprisal) {
    const std::string text = as_text(token);
    const json& nats = token.at("nats");
    if (nats.is_number()) {
      html += fmt::format("<span class=\"s{}\" data-nats=\"{:.4g}\">{}</span>",
                          shade_of(nats.get<double>(), darkest), nats.get<double>(), visible(text));
    } else {
      html += fmt::format("<span>{}</span>", visible(text));
    }
    if (words && text != "\n") html += ' ';
  }
  return html;
}

std::string scale_html(double darkest) {
  std::string html = "<p class=\"scale\" aria-hidden=\"true\">0 ";
  for (int i = 0; i < shades; ++i) html += fmt::format("<span class=\"s{}\"> </span>", i);
  return html + fmt::format(" {:g}+ nats</p>\n", darkest);
}

}  // namespace

void add_surprisal(Page& page, const json& inspection) {
  const json surprisal = inspection.value("surprisal", json::array());
  if (surprisal.empty()) return;
  Table table{.id = "surprisal",
              .caption = "The most surprising tokens",
              .columns = {{"Token", "token"},
                          {"Position", "position"},
                          {"Nats", "nats"},
                          {"Probability", "probability"}}};
  double sum = 0;
  std::size_t position = 0;
  for (const json& token : surprisal) {
    const auto text = token.at("text").get<std::string>();
    const json& nats = token.at("nats");
    const json probability = nats.is_number() ? json(std::exp(-nats.get<double>())) : json();
    if (nats.is_number()) sum += nats.get<double>();
    table.rows.push_back({{text, in_table(as_text(token))},
                          {position, count(json(position))},
                          {nats, fixed(nats, 3)},
                          {probability, significant(probability, 3)}});
    ++position;
  }
  const double darkest = darkest_of(surprisal);
  const double mean = sum / static_cast<double>(surprisal.size());
  std::stable_sort(table.rows.begin(), table.rows.end(), [](const auto& a, const auto& b) {
    return a[2].value.is_number() && (!b[2].value.is_number() || a[2].value > b[2].value);
  });
  table.shown = 10;

  page.section("surprisal", "Surprisal over the text");
  page.add(fmt::format(
      "<p>The stronger the shade of a token, the less the model expected it: −ln p, {:.3f} nats on "
      "average over "
      "{} tokens, "
      "a perplexity of {:.2f}. Point at a token, or go through them with the arrow keys.</p>\n{}"
      "<p class=\"readout\" id=\"readout\" aria-live=\"polite\"></p>\n"
      "<div class=\"heat\" id=\"heat\" tabindex=\"0\" role=\"group\" "
      "aria-label=\"The text, shaded by surprisal; arrow keys read it token by token\">{}</div>\n",
      mean, count(json(surprisal.size())), std::exp(mean), scale_html(darkest),
      heat_map(surprisal, darkest)));
  page.add(table);
}

}  // namespace sluice::report
