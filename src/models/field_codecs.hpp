#pragma once
// How models' fields of special kinds stand in files and flags, for the tables of architectures.

#include <string>
#include <vector>

#include "sluice/base/fields.hpp"

namespace sluice {

/// A text that is one of `names`; `what` is what messages call it: "reset".
FieldCodec<std::string> choice_codec(const std::string& what, std::vector<std::string> names);
/// A unit of nn/unit_layer.hpp.
FieldCodec<std::string> unit_codec();
/// An activation of kernels/units.hpp, with its parameters or without.
FieldCodec<std::string> activation_codec();

}  // namespace sluice
