#include "normalize.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

namespace sluice {

const EnumNames<Normalization>& enum_names(Normalization) {
  static const EnumNames<Normalization> names(
      "normal form",
      {{Normalization::none, "none"}, {Normalization::nfc, "nfc"}, {Normalization::nfkc, "nfkc"}});
  return names;
}

const EnumNames<WhiteSpace>& enum_names(WhiteSpace) {
  static const EnumNames<WhiteSpace> names(
      "white space", {{WhiteSpace::ascii, "ascii"}, {WhiteSpace::unicode, "unicode"}});
  return names;
}

std::string_view normalized(std::string_view text, Normalization form, std::string& buffer) {
  const bool ascii = std::all_of(text.begin(), text.end(),
                                 [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  if (form == Normalization::none || ascii) return text;
  unsigned options = UTF8PROC_STABLE | UTF8PROC_COMPOSE;
  if (form == Normalization::nfkc) options |= UTF8PROC_COMPAT;
  utf8proc_uint8_t* made = nullptr;
  const utf8proc_ssize_t size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                             static_cast<utf8proc_ssize_t>(text.size()), &made,
                                             static_cast<utf8proc_option_t>(options));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owned(made, std::free);
  if (size < 0) return text;
  buffer.assign(reinterpret_cast<const char*>(made), static_cast<std::size_t>(size));
  return buffer;
}

}  // namespace sluice
