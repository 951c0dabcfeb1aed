#pragma once
// Setting the end of a text aside for validation.

#include <vector>

#include "sluice/text/documents.hpp"
#include "sluice/text/source.hpp"

namespace sluice {

/// A corpus in two parts.
struct HeldOut {
  std::vector<TextSource> train;
  std::vector<TextSource> valid;
};

/// Sets aside the last `fraction` of the bytes of `sources`, taken one after another, from the
/// first line that starts there; where the last line reaches into it, from the first blank there,
/// or the first character when no blank follows within 64 KiB. A source that lies wholly on one
/// side is returned as it is; the one that is cut becomes two byte ranges of its file. Nothing is
/// written. Of documents that blank lines end, the first that starts there is where the cut is, if
/// one does; of documents that are files the one that is there is kept whole, where there are
/// several.
///
/// Throws UsageError unless 0 < fraction < 1; Error when there is nothing before or after such a
/// place, and when a file cannot be read.
HeldOut hold_out(const std::vector<TextSource>& sources, double fraction,
                 DocumentEnd documents = DocumentEnd::none);

}  // namespace sluice
