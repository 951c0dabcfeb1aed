#pragma once
// Saving and continuing the parts of a run together: all of them, or none.

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "stateful.hpp"

namespace sluice {

/// What a resumed run must share with the one it continues, by name.
using Fingerprint = std::map<std::string, std::string>;
/// The fact that checkpoints of versions without it do not record; theirs is 1.
inline constexpr const char* accumulate_fact = "accumulate";
/// A fact that older versions recorded of runs that round what they exchange; it may change.
inline constexpr const char* processes_fact = "number of processes";

class Checkpointer {
 public:
  /// The parts must outlive it; their tensors are written in this order.
  Checkpointer(std::filesystem::path file, Fingerprint fingerprint, std::vector<Stateful*> parts)
      : file_(std::move(file)), fingerprint_(std::move(fingerprint)), parts_(std::move(parts)) {}

  const std::filesystem::path& file() const { return file_; }
  const Fingerprint& fingerprint() const { return fingerprint_; }

  /// Writes the parts' tensors ("PART.NAME") one at a time, and their fields and the fingerprint
  /// (JSON under the metadata key "training"), atomically: on an error, a full disk included, the
  /// file that was there remains.
  void save() const;
  /// Reads them back. Throws Error when the file is missing, damaged, no checkpoint, or does not
  /// match: the fingerprint is compared first, and the message names the first fact that differs
  /// with both values. Nothing is changed then.
  void load() const;

 private:
  void check_fingerprint(const Value& stored) const;

  std::filesystem::path file_;
  Fingerprint fingerprint_;
  std::vector<Stateful*> parts_;
};

}  // namespace sluice
