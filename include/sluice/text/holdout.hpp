#pragma once
// Setting the end of a text aside for validation.

#include <filesystem>
#include <vector>

namespace sluice {

/// A corpus in two parts.
struct HeldOut {
  std::vector<std::filesystem::path> train;
  std::vector<std::filesystem::path> valid;
};

/// Sets aside the last `fraction` of the bytes of `files`, read one after another, from the first
/// line that starts there. Files that lie wholly on one side are named as they are; the one that is
/// cut is copied into `directory` (made when missing) as "train.txt" and "valid.txt", after a
/// check, when `utf8` says so, that it is valid text. Throws UsageError unless 0 < fraction < 1;
/// Error when no line starts in that part or none before it, for NUL bytes or invalid UTF-8 (naming
/// the file and the offset of the first bad byte), and when a file cannot be read or written.
HeldOut hold_out(const std::vector<std::filesystem::path>& files, double fraction, bool utf8,
                 const std::filesystem::path& directory);

}  // namespace sluice
