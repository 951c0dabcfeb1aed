#pragma once
// Names a person wrote, looked up in the list of those that are known; and the names of
// enumerations.

#include <cassert>
#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sluice/base/api.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// `text` as a terminal may show it: control characters, and bytes that are no UTF-8, as \n or
/// \x1b.
std::string visible(std::string_view text);

/// `text` as messages quote what a person wrote: visible(), in quotation marks, at most 80
/// characters of it.
std::string in_quotes(std::string_view text, char mark = '\'');

/// Names of `known` nearest to `name` by edit distance, best first, at most `most`: "a", "a or b".
/// Empty when nothing is near.
std::string nearest_names(std::string_view name, const std::vector<std::string>& known,
                          std::size_t most = 3);

/// What to say of an unknown name: "did you mean a or b?", or where nothing is near
/// "known are a, b, c".
std::string suggestion(std::string_view name, const std::vector<std::string>& known);

/// Index of `name` in `known`. Throws UsageError, "unknown WHAT 'name'; " and the suggestion.
std::size_t parse_name(std::string_view what, std::string_view name,
                       const std::vector<std::string>& known);

/// The names of an enumeration's values: the one list that files, flags, messages and the manual go
/// by. A room declares beside enumeration E
///     const EnumNames<E>& enum_names(E);
/// and everybody else calls name_of(), parse_enum<E>() and enum_names(E{}).names(). Never changes:
/// threads may share one.
template <class E>
class EnumNames {
 public:
  /// `what` is what messages call such a value: "optimizer".
  EnumNames(std::string what, std::initializer_list<std::pair<E, std::string>> list)
      : what_(std::move(what)) {
    for (const auto& [value, name] : list) {
      values_.push_back(value);
      names_.push_back(name);
    }
  }

  const std::string& what() const { return what_; }
  const std::vector<std::string>& names() const { return names_; }
  const std::vector<E>& values() const { return values_; }

  const std::string& name(E value) const {
    std::size_t i = 0;
    while (i + 1 < values_.size() && values_[i] != value) ++i;
    assert(values_[i] == value);
    return names_[i];
  }
  /// Throws UsageError naming the nearest.
  E parse(std::string_view name) const { return values_[parse_name(what_, name, names_)]; }

 private:
  std::string what_;
  std::vector<E> values_;
  std::vector<std::string> names_;
};

/// An enumeration with enum_names().
template <class E>
concept NamedEnum = requires(E e) {
  { enum_names(e) } -> std::same_as<const EnumNames<E>&>;
};

template <NamedEnum E>
const std::string& name_of(E value) {
  return enum_names(value).name(value);
}

/// Throws UsageError, "unknown WHAT 'name'; " and what it might have been.
template <NamedEnum E>
E parse_enum(std::string_view name) {
  return enum_names(E{}).parse(name);
}

}  // namespace sluice
SLUICE_API_END
