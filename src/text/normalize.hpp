#pragma once
// Unicode normal forms.

#include <string>
#include <string_view>

#include "sluice/text/tokenizer.hpp"
#include "splitting.hpp"

namespace sluice {

/// `text` in a normal form: itself where nothing changes it, else in `buffer`. Text that is no
/// UTF-8 is left as it is.
std::string_view normalized(std::string_view text, Normalization form, std::string& buffer);

/// Calls body(text) for a line in normal form: at once when there is none, else segment by segment,
/// so that cutting the line between segments changes nothing.
template <class Body>
void for_each_normalized(std::string_view line, Normalization form, Body&& body) {
  if (form == Normalization::none) {
    body(line);
    return;
  }
  std::string buffer;
  for_each_segment(line,
                   [&](std::string_view segment) { body(normalized(segment, form, buffer)); });
}

}  // namespace sluice
