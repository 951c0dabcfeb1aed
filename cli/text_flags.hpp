#pragma once
// The flags of commands that read texts.

#include <filesystem>
#include <string>
#include <vector>

#include "sluice/text/inputs.hpp"
#include "sluice/text/tokenizer.hpp"

namespace CLI {
class App;
}

namespace sluice::cli {

/// What was said of the texts to read.
struct TextFlags {
  std::vector<std::string> files;
  std::vector<std::string> include;
  std::string field;

  /// The texts, for `tokenizer`; what must be unpacked is unpacked into `directory`.
  TextInputs open(const Tokenizer& tokenizer, const std::filesystem::path& directory,
                  const Progress& progress) const;
};

/// `flag`, or the position of that name, --include and --field.
void add_text_flags(CLI::App& app, const std::string& flag, TextFlags& flags);

}  // namespace sluice::cli
