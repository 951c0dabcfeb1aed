// Text of the report: escaping, and numbers as the page shows them.

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <iterator>

#include "report/report_page.hpp"
#include "sluice/base/numbers.hpp"
#include "text_table.hpp"

namespace sluice::report {
namespace {

constexpr const char* nothing = "–";

bool plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

}  // namespace

std::string escape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string url(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (plain(c) || std::string_view("-._~/").find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

std::string slug(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (plain(c)) {
      out += c;
    } else if (!out.empty() && out.back() != '-') {
      out += '-';
    }
  }
  while (!out.empty() && out.back() == '-') out.pop_back();
  return out;
}

std::string fixed(double number, int digits) {
  return std::isfinite(number) ? fmt::format("{:.{}f}", number, digits) : nothing;
}

std::string significant(double number, int digits) {
  if (!std::isfinite(number)) return nothing;
  // Large numbers are written whole instead of with an exponent.
  const double size = std::abs(number);
  if (size >= std::pow(10, digits) && size < 1e9) return fmt::format("{:.0f}", number);
  return fmt::format("{:.{}g}", number, digits);
}

std::string percent(double share) {
  if (!std::isfinite(share)) return nothing;
  const double percents = 100 * share;
  return fmt::format("{:.{}f}%", percents, percents != 0 && std::abs(percents) < 9.95 ? 1 : 0);
}

std::string count(double number) {
  return std::isfinite(number) ? grouped(std::llround(number)) : nothing;
}

std::string bytes(double number) {
  if (!std::isfinite(number)) return nothing;
  constexpr std::array units = {"B", "kB", "MB", "GB", "TB"};
  std::size_t unit = 0;
  while (number >= 999.5 && unit + 1 < units.size()) {
    number /= 1000;
    ++unit;
  }
  return fmt::format("{:.3g} {}", number, units[unit]);
}

std::string span_of_time(double seconds) {
  return std::isfinite(seconds) ? sluice::span_of_time(seconds) : nothing;
}

std::string tone_of(std::string_view verdict) {
  if (verdict == "better" || verdict == "holds") return "good";
  if (verdict == "worse" || verdict == "fails") return "bad";
  return "even";
}

Html badge(std::string_view verdict) {
  return markup("<span class=\"badge {}\">{}</span>", tone_of(verdict), verdict);
}

}  // namespace sluice::report
