#pragma once
// What commands say of lines that are no good, and how they read text in flags.

#include <istream>
#include <memory>
#include <string>

namespace sluice::cli {

/// Says on standard error what is wrong with lines: of the first few each, of the rest how many.
class FaultyLines {
 public:
  explicit FaultyLines(std::string command) : command_(std::move(command)) {}
  void tell(const std::string& fault);
  void finish() const;

 private:
  std::string command_;
  long count_ = 0;
};

/// Throws Error unless there is something at `path`, or it is "-": before what comes first is
/// written.
void require_readable(const std::string& path);

/// The text at `path` (open_text()), in the process that leads; an empty one in others.
std::unique_ptr<std::istream> leading_text(const std::string& path);

/// `text` with \n, \t and \\ as the characters they stand for. Throws UsageError naming the flag
/// for other backslashes.
std::string with_escapes(const std::string& flag, const std::string& text);

}  // namespace sluice::cli
