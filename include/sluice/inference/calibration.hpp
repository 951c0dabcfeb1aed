#pragma once
// The temperature that a model's directory keeps for classification.

#include <cstdint>

#include "sluice/base/api.hpp"
#include "sluice/models/model_directory.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// calibration.json.
struct Calibration {
  /// Posterior::temperature.
  double temperature = 1;
  /// Labelled lines that it was found for; 0: none were.
  std::int64_t lines = 0;
};

/// Replaces the directory's, atomically. It is good for the weights that are there: their checksum
/// is kept with it. Throws Error when they cannot be read.
void write_calibration(const ModelDirectory& files, const Calibration& calibration);
/// Calibration{} where there is none. Throws Error for a damaged file and for one of other weights.
Calibration read_calibration(const ModelDirectory& files);

}  // namespace sluice
SLUICE_API_END
