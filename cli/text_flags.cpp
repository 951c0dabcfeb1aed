#include "text_flags.hpp"

#include "options.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/fields.hpp"

namespace sluice::cli {

InputOptions TextFlags::options(bool any_bytes) const {
  return {.include = fields_detail::parts_of(include),
          .field = field,
          .condition = condition,
          .any_bytes = any_bytes};
}

TextInputs TextFlags::open(const Tokenizer& tokenizer, const Progress& progress) const {
  const std::vector<std::filesystem::path> paths(files.begin(), files.end());
  InputOptions reading = options(tokenizer.kind() == "byte");
  reading.in_background = true;
  return {paths, reading, {}, progress};
}

DocumentRule TextFlags::document_rule(const std::vector<const ModelConfig*>& models,
                                      const Tokenizer& tokenizer) const {
  if (!documents.empty()) {
    return sluice::document_rule(parse_enum<DocumentEnd>(documents), document_mark, tokenizer);
  }
  DocumentEnd end = DocumentEnd::none;
  std::string mark = document_mark;
  for (const ModelConfig* model : models) {
    const std::string& own = document_mark.empty() ? model->document_mark : document_mark;
    if (model != models.front() && (model->documents != end || own != mark)) {
      throw UsageError(
          "the models were trained with different documents; say what ends one (--documents)");
    }
    end = model->documents;
    mark = own;
  }
  return sluice::document_rule(end, mark, tokenizer);
}

void add_text_flags(CLI::App& app, const std::string& flag, TextFlags& flags, TextsNeeded needed) {
  Argument files = add_texts(
      app, flag, flags.files,
      "UTF-8 texts: files, directories of files, pipes, or - for standard input; plain or "
      "compressed (gzip, bzip2, xz, zstd)",
      flag.starts_with("-") ? "PATH.." : "");
  if (needed == TextsNeeded::yes) files.required();
  add_text(app, "--include", flags.include,
           "of directories, only files whose name, or path below the directory, matches: '*.txt'",
           "GLOB,..");
  add_text(app, "--field", flags.field, "texts are JSON lines; this field of each is the text",
           "NAME");
}

void add_text_documents(CLI::App& app, TextFlags& flags) {
  add_text(app, "--documents", flags.documents,
           "what ends a document, each of which is read as if it were alone: blank-lines (and the "
           "end of a file), files or none (default: what the model was trained with)",
           "END");
  add_text(app, "--document-mark", flags.document_mark,
           "the token at the end of each document, in place of its blank lines (default: the "
           "model's)",
           "TOKEN");
}

void add_text_condition(CLI::App& app, TextFlags& flags) {
  add_text(app, "--condition", flags.condition,
           "what labels each text: a column from 1 of lines separated by tabs whose last column is "
           "the text, or with --field another field of the JSON lines; a model without labels "
           "reads the texts alone",
           "FIELD");
}

}  // namespace sluice::cli
