#pragma once
// What a run's settings leave open, chosen for its text.

#include "sluice/base/api.hpp"
#include "sluice/training/defaults.hpp"
#include "sluice/training/prepare.hpp"
#include "sluice/training/run.hpp"

SLUICE_API_BEGIN
namespace sluice {

/// The plan for `text`, which prepare_text() made by the same settings: what they leave open is
/// chosen by choose_training() and choose_model(), and told in `notes`, one phrase per choice.
/// Throws as these do, and as check_run().
TrainPlan plan_run(Settings settings, const PreparedText& text, Notes& notes);

}  // namespace sluice
SLUICE_API_END
