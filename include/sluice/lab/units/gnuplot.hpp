#pragma once
// Pictures of units, drawn by gnuplot.

#include <string>
#include <string_view>

#include "sluice/base/api.hpp"
#include "sluice/lab/units/unit_curves.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// The gnuplot script that draws a picture as SVG on its standard output. `caption` is the title's
/// second part.
std::string gnuplot_script(const UnitPicture& picture, const std::string& caption);

/// A text as scripts have it, in quotes.
std::string gnuplot_text(std::string_view text);

/// Runs gnuplot with `script` on its standard input and returns what it writes. Throws Error when
/// gnuplot is not installed (saying how to install it) or fails.
std::string run_gnuplot(const std::string& script);

}  // namespace sluice
SLUICE_API_END
