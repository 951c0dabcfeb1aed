#pragma once
// The flags of commands that read texts.

#include <filesystem>
#include <string>
#include <vector>

#include "sluice/models/config.hpp"
#include "sluice/text/documents.hpp"
#include "sluice/text/inputs.hpp"
#include "sluice/text/tokenizer.hpp"

namespace CLI {
class App;
}

namespace sluice::cli {

/// What was said of the texts to read.
struct TextFlags {
  std::vector<std::string> files;
  std::string include;  // patterns with commas between them
  std::string field;
  std::string condition = {};  // InputOptions::condition
  std::string documents = {};  // a DocumentEnd; empty: the model's
  std::string document_mark = {};

  /// How they are to be read; `any_bytes` as InputOptions has it.
  InputOptions options(bool any_bytes) const;
  /// The texts, for `tokenizer`; what must be unpacked has no name on the disk.
  TextInputs open(const Tokenizer& tokenizer, const Progress& progress) const;
  /// What documents they are, for `tokenizer`: as was said, else as the models that read them have
  /// it. Throws UsageError where those differ.
  DocumentRule document_rule(const std::vector<const ModelConfig*>& models,
                             const Tokenizer& tokenizer) const;
};

enum class TextsNeeded { no, yes };

/// `flag`, or the position of that name, --include and --field.
void add_text_flags(CLI::App& app, const std::string& flag, TextFlags& flags,
                    TextsNeeded needed = TextsNeeded::yes);
/// --condition, of commands whose models may be conditional.
void add_text_condition(CLI::App& app, TextFlags& flags);
/// --documents and --document-mark.
void add_text_documents(CLI::App& app, TextFlags& flags);

}  // namespace sluice::cli
