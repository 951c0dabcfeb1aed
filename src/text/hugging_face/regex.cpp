#include "regex.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <array>

#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"

namespace sluice {

struct Regex::Code {
  using Pointer = std::unique_ptr<pcre2_code, decltype(&pcre2_code_free)>;
  using Context = std::unique_ptr<pcre2_match_context, decltype(&pcre2_match_context_free)>;
  std::string pattern;
  Pointer code{nullptr, pcre2_code_free};
  Context context{nullptr, pcre2_match_context_free};
};

Regex::Regex(const std::string& pattern) {
  auto made = std::make_shared<Code>();
  made->pattern = pattern;
  int fault = 0;
  PCRE2_SIZE at = 0;
  made->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                 PCRE2_UTF | PCRE2_UCP, &fault, &at, nullptr));
  if (!made->code) {
    std::array<PCRE2_UCHAR, 200> why{};
    pcre2_get_error_message(fault, why.data(), why.size());
    throw Error(fmt::format("the pattern {} is none at place {}: {}", in_quotes(pattern), at,
                            reinterpret_cast<const char*>(why.data())));
  }
  pcre2_jit_compile(made->code.get(), PCRE2_JIT_COMPLETE);
  made->context.reset(pcre2_match_context_create(nullptr));
  // Patterns that try many ways are stopped rather than waited for.
  constexpr std::uint32_t most_steps = 5'000'000;
  pcre2_set_match_limit(made->context.get(), most_steps);
  code_ = std::move(made);
}

Regex Regex::literal(std::string_view text) {
  std::string pattern;
  for (const char c : text) {
    const bool special = static_cast<unsigned char>(c) < 0x80 && std::ispunct(c) != 0;
    if (special) pattern += '\\';
    pattern += c;
  }
  return Regex(pattern);
}

std::vector<std::pair<std::size_t, std::size_t>> Regex::find_all(std::string_view text) const {
  std::vector<std::pair<std::size_t, std::size_t>> found;
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data(
      pcre2_match_data_create_from_pattern(code_->code.get(), nullptr), pcre2_match_data_free);
  for (std::size_t at = 0; at < text.size();) {
    const int status = pcre2_match(code_->code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()),
                                   text.size(), at, 0, data.get(), code_->context.get());
    if (status == PCRE2_ERROR_NOMATCH) break;
    if (status < 0) {
      throw Error(
          fmt::format("cannot cut text by the pattern {}: it takes too many steps, or the "
                      "text is no UTF-8",
                      in_quotes(code_->pattern)));
    }
    const PCRE2_SIZE* const ends = pcre2_get_ovector_pointer(data.get());
    if (ends[1] > ends[0]) found.emplace_back(ends[0], ends[1]);
    at = ends[1] > at ? ends[1] : at + 1;
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80U) ++at;
  }
  return found;
}

}  // namespace sluice
