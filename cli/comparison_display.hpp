#pragma once
// What sluice compare and sluice claims show of the runs that they train.

#include <string>

#include "output.hpp"
#include "sluice/lab/compare/compare.hpp"

namespace sluice::cli {

class ComparisonDisplay {
 public:
  /// `details`: also the speed of training and the tokens trained on.
  explicit ComparisonDisplay(bool details) : details_(details) {}

  /// Callbacks that show preparation, each step and each finished run, and that throw Interrupted
  /// while the text is prepared. They refer to this object.
  CompareCallbacks callbacks();
  /// The comparison whose runs follow; it must outlive them.
  void show(const Comparison& comparison) { comparison_ = &comparison; }
  /// What progress lines begin with, such as "2/17 glu-beats-gtu"; empty for nothing.
  void set_place(std::string place) { place_ = std::move(place); }

  /// The live line: `text` after the place.
  void update(double fraction, const std::string& text);
  /// A line on standard output.
  void say(const std::string& line) { progress_.say(line); }

 private:
  std::string name_of(const CompareRun& run) const;
  std::string step_text(const CompareProgress& progress) const;
  std::string result_text(const CompareRun& run) const;

  bool details_;
  ProgressDisplay progress_;
  const Comparison* comparison_ = nullptr;
  std::string place_;
};

}  // namespace sluice::cli
