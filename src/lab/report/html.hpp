#pragma once
// HTML: the one place where text becomes markup.

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace sluice::report {

/// `text` with all that HTML would read as markup written as entities.
std::string escape(std::string_view text);

/// A piece of HTML. Text becomes one by being escaped; markup comes from markup() alone, whose
/// format is a literal of this program.
class Html {
 public:
  Html() = default;
  /// Text, escaped.
  // NOLINTNEXTLINE(google-explicit-constructor)
  Html(const std::string& text) : html_(escape(text)) {}
  // NOLINTNEXTLINE(google-explicit-constructor)
  Html(const char* text) : html_(escape(text)) {}

  bool empty() const { return html_.empty(); }
  const std::string& str() const { return html_; }
  Html& operator+=(const Html& more) {
    html_ += more.html_;
    return *this;
  }

 private:
  struct Raw {
    std::string html;
  };
  explicit Html(Raw raw) : html_(std::move(raw.html)) {}
  template <class... Arguments>
  friend struct Markup;

  std::string html_;
};

/// What of an argument may stand in markup: HTML and numbers as they are, text escaped.
template <class T>
auto harmless(const T& value) {
  if constexpr (std::is_same_v<T, Html>) {
    return value.str();
  } else if constexpr (std::is_convertible_v<const T&, std::string_view>) {
    return escape(value);
  } else {
    static_assert(std::is_arithmetic_v<T>, "neither text nor a number");
    return value;
  }
}

template <class... Arguments>
struct Markup {
  using Format = fmt::format_string<decltype(harmless(std::declval<const Arguments&>()))...>;
  static Html make(Format format, const Arguments&... arguments) {
    return Html(Html::Raw{fmt::format(format, harmless(arguments)...)});
  }
};

/// Formats markup, a literal, with arguments that are escaped unless they are Html themselves.
template <class... Arguments>
Html markup(typename Markup<std::type_identity_t<Arguments>...>::Format format,
            const Arguments&... arguments) {
  return Markup<Arguments...>::make(format, arguments...);
}

}  // namespace sluice::report
