#include "text_flags.hpp"

#include "options.hpp"

namespace sluice::cli {

TextInputs TextFlags::open(const Tokenizer& tokenizer, const std::filesystem::path& directory,
                           const Progress& progress) const {
  const std::vector<std::filesystem::path> paths(files.begin(), files.end());
  const InputOptions options{
      .include = include, .field = field, .any_bytes = tokenizer.kind() == "byte"};
  return {paths, options, directory, progress};
}

void add_text_flags(CLI::App& app, const std::string& flag, TextFlags& flags) {
  add_texts(app, flag, flags.files,
            "UTF-8 texts: files, directories of files, pipes, or - for standard input; plain or "
            "compressed (gzip, bzip2, xz, zstd)",
            flag.starts_with("-") ? "PATH.." : "")
      .required();
  add_texts(app, "--include", flags.include,
            "of directories, only files whose name, or path below the directory, matches: '*.txt'",
            "GLOB..");
  add_text(app, "--field", flags.field, "texts are JSON lines; this field of each is the text",
           "NAME");
}

}  // namespace sluice::cli
