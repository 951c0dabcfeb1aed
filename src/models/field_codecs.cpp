#include "field_codecs.hpp"

#include <fmt/format.h>

#include <utility>

#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"
#include "sluice/kernels/units.hpp"
#include "sluice/nn/unit_layer.hpp"

namespace sluice {
namespace {

std::string itself(const std::string& text) { return text; }

}  // namespace

FieldCodec<std::string> choice_codec(const std::string& what, std::vector<std::string> names) {
  return text_codec<std::string>(
      itself,
      [what, names = std::move(names)](const std::string& text) {
        return names[parse_name(what, text, names)];
      },
      "a name in quotes", "NAME");
}

FieldCodec<std::string> unit_codec() {
  return text_codec<std::string>(
      itself,
      [](const std::string& text) {
        parse_unit_spec(text);
        return text;
      },
      "a name in quotes", "NAME");
}

FieldCodec<std::string> activation_codec() {
  return text_codec<std::string>(
      itself,
      [](const std::string& text) {
        if (parse_unit(text).gated) {
          throw UsageError(
              fmt::format("'{}' is a gate, expected an activation like tanh or sigmoid", text));
        }
        return text;
      },
      "a name in quotes", "NAME");
}

}  // namespace sluice
