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

using nlohmann::json;

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

std::string fixed(const json& value, int digits) {
  if (!value.is_number()) return nothing;
  return fmt::format("{:.{}f}", value.get<double>(), digits);
}

std::string significant(const json& value, int digits) {
  if (!value.is_number()) return nothing;
  const auto number = value.get<double>();
  // Rather whole than with an exponent.
  const double size = std::abs(number);
  if (size >= std::pow(10, digits) && size < 1e9) return fmt::format("{:.0f}", number);
  return fmt::format("{:.{}g}", number, digits);
}

std::string percent(const json& value) {
  if (!value.is_number()) return nothing;
  const double share = 100 * value.get<double>();
  return fmt::format("{:.{}f}%", share, share != 0 && std::abs(share) < 9.95 ? 1 : 0);
}

std::string count(const json& value) {
  return value.is_number() ? grouped(std::llround(value.get<double>())) : nothing;
}

std::string bytes(const json& value) {
  if (!value.is_number()) return nothing;
  constexpr std::array units = {"B", "kB", "MB", "GB", "TB"};
  auto amount = value.get<double>();
  std::size_t unit = 0;
  while (amount >= 999.5 && unit + 1 < units.size()) {
    amount /= 1000;
    ++unit;
  }
  return fmt::format("{:.3g} {}", amount, units[unit]);
}

std::string span_of_time(const json& value) {
  return value.is_number() ? sluice::span_of_time(value.get<double>()) : nothing;
}

std::string tone_of(std::string_view verdict) {
  if (verdict == "better" || verdict == "holds") return "good";
  if (verdict == "worse" || verdict == "fails") return "bad";
  return "even";
}

std::string badge(std::string_view verdict) {
  return fmt::format("<span class=\"badge {}\">{}</span>", tone_of(verdict), escape(verdict));
}

}  // namespace sluice::report
