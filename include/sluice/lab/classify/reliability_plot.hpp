#pragma once
// The reliability curve of a classifier, as a picture.

#include <string>

#include "sluice/base/api.hpp"
#include "sluice/inference/classify.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// The gnuplot script (lab/units/gnuplot.hpp runs it) that draws, as SVG, how often the most
/// probable label was right against the probability it was given, the diagonal that it should be,
/// and how many lines each point stands for.
std::string reliability_script(const ClassificationReport& report, const std::string& title);

}  // namespace sluice
SLUICE_API_END
