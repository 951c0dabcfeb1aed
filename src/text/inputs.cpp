#include "sluice/text/inputs.hpp"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <functional>
#include <streambuf>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/fields.hpp"
#include "sluice/base/file.hpp"
#include "sluice/base/numbers.hpp"
#include "sluice/text/detail/utf8.hpp"
#include "sluice/text/labels.hpp"
#include "text_reader.hpp"
#include "unpacking.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t piece_bytes = std::size_t{1} << 18;

/// A path that is read, and whether it was found in a directory.
struct Found {
  fs::path path;
  bool listed = false;
};

bool matches(const fs::path& file, const fs::path& directory,
             const std::vector<std::string>& patterns) {
  const std::string name = file.filename().string();
  const std::string below = file.lexically_relative(directory).string();
  return patterns.empty() ||
         std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
           return ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0 ||
                  ::fnmatch(pattern.c_str(), below.c_str(), 0) == 0;
         });
}

void list_directory(const fs::path& directory, const std::vector<std::string>& include,
                    std::vector<Found>& found) {
  std::vector<fs::path> below;
  bool any = false;
  try {
    for (auto entry = fs::recursive_directory_iterator(directory);
         entry != fs::recursive_directory_iterator(); ++entry) {
      const bool hidden = entry->path().filename().string().front() == '.';
      if (hidden && entry->is_directory()) entry.disable_recursion_pending();
      if (hidden || !entry->is_regular_file()) continue;
      any = true;
      if (matches(entry->path(), directory, include)) below.push_back(entry->path());
    }
  } catch (const fs::filesystem_error& failure) {
    throw SystemError(fmt::format("cannot list the files in '{}': {}", directory.string(),
                                  failure.code().message()),
                      failure.code().value());
  }
  if (below.empty()) {
    throw Error(fmt::format("cannot read text from the directory '{}': {}", directory.string(),
                            any ? "none of its files match the pattern" : "it has no files"));
  }
  std::sort(below.begin(), below.end());
  for (fs::path& path : below) found.push_back({std::move(path), true});
}

std::vector<Found> list_inputs(const std::vector<fs::path>& paths,
                               const std::vector<std::string>& include) {
  std::vector<Found> found;
  for (const fs::path& path : paths) {
    if (path == standard_input) {
      found.push_back({path});
      continue;
    }
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (!fs::exists(status)) {
      throw SystemError(fmt::format("cannot read '{}': {}", path.string(), error.message()),
                        error.value());
    }
    if (fs::is_directory(status)) {
      list_directory(path, include, found);
    } else {
      found.push_back({path});
    }
  }
  return found;
}

/// Whether the text's beginning is what a tokenizer takes.
bool looks_like_text(const fs::path& path) {
  constexpr std::size_t sample_bytes = std::size_t{1} << 16;
  TextReader reader(path);
  std::string sample(sample_bytes, '\0');
  std::size_t size = 0;
  while (size < sample.size()) {
    const std::size_t got = reader.read(sample.data() + size, sample.size() - size);
    if (got == 0) break;
    size += got;
  }
  const std::string_view text = std::string_view(sample).substr(0, size);
  // The sample may end within a character.
  constexpr std::size_t longest_character = 4;
  const std::size_t valid = valid_text_length(text);
  return valid == size || (size == sample_bytes && size - valid < longest_character);
}

/// Where lines are taken into memory: as long as a JSON object may be.
constexpr std::size_t longest_line = JsonLimits{}.bytes;

[[noreturn]] void refuse_line(const TextReader& reader) {
  throw Error(fmt::format("cannot read '{}': a line is longer than {} bytes", reader.title(),
                          longest_line));
}

/// Calls body(line) for the lines that `reader` gives, without their ends.
void for_each_read_line(TextReader& reader, const std::function<void(std::string_view)>& body) {
  std::string rest;
  std::string piece(piece_bytes, '\0');
  while (const std::size_t got = reader.read(piece.data(), piece.size())) {
    std::string_view more(piece.data(), got);
    for (std::size_t end = more.find('\n'); end != std::string_view::npos; end = more.find('\n')) {
      rest += more.substr(0, end);
      body(rest);
      rest.clear();
      more.remove_prefix(end + 1);
    }
    rest += more;
    if (rest.size() > longest_line) refuse_line(reader);
  }
  if (!rest.empty()) body(rest);
}

/// A text of a file of records, and its label.
struct Record {
  std::string text, label;
};

FieldPlace place_of(const TextReader& reader, std::int64_t line) {
  return {.where = fmt::format("cannot read '{}', line {}", reader.title(), line),
          .origin = FieldPlace::Origin::file};
}

const Value& field_of(const Value& record, const std::string& field, const FieldPlace& place) {
  const Value* const value = record.find(field);
  if (value == nullptr) place.refuse(fmt::format("field '{}' is missing", field));
  return *value;
}

Record json_record(std::string_view line, const InputOptions& options, const FieldPlace& place) {
  const Value object = parse_json(line, place, json_line);
  if (object.as<Value::Object>() == nullptr) place.refuse("a JSON object", object);
  const Value& text = field_of(object, options.field, place);
  if (text.as<std::string>() == nullptr) place.field(options.field).refuse("text", text);
  Record record{*text.as<std::string>(), {}};
  if (options.condition.empty()) return record;
  const Value& label = field_of(object, options.condition, place);
  if (const auto* const name = label.as<std::string>()) {
    record.label = *name;
  } else if (label.as<std::int64_t>() != nullptr) {
    record.label = json_text(label);
  } else {
    place.field(options.condition).refuse("text or a whole number", label);
  }
  return record;
}

Record column_record(std::string_view line, std::size_t column, const FieldPlace& place) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  std::vector<std::string_view> columns;
  for (std::size_t begin = 0; begin <= line.size();) {
    const std::size_t end = std::min(line.find('\t', begin), line.size());
    columns.push_back(line.substr(begin, end - begin));
    begin = end + 1;
  }
  if (columns.size() <= column) {
    place.refuse(fmt::format(
        "expected a label in column {} and the text in the last one, separated by tabs, got {} "
        "column{}",
        column, columns.size(), columns.size() == 1 ? "" : "s"));
  }
  return {std::string(columns.back()), std::string(columns[column - 1])};
}

/// The number of a column of text.
std::size_t column_number(const std::string& condition) {
  constexpr int most_columns = 1000;
  const auto number = whole_number(condition);
  if (number && *number >= 1 && *number <= most_columns) return static_cast<std::size_t>(*number);
  throw UsageError(
      fmt::format("condition '{}' is no column from 1 to {} of lines that tabs separate; where it "
                  "is a field of JSON lines, name the field that is the text, too",
                  condition, most_columns));
}

/// Notes the label of the text that ends at `end` for each of its lines.
class LabelNotes {
 public:
  void add(const Record& record, std::uint64_t begin) {
    const auto [found, fresh] =
        numbers_.try_emplace(record.label, static_cast<std::uint32_t>(labels_.names.size()));
    if (fresh) labels_.names.push_back(record.label);
    for (std::size_t at = 0; at < record.text.size();) {
      at = std::min(record.text.find('\n', at), record.text.size() - 1) + 1;
      labels_.lines.push_back({begin + at, found->second});
    }
  }
  LineLabels take() { return std::move(labels_); }

 private:
  LineLabels labels_;
  std::unordered_map<std::string, std::uint32_t> numbers_;
};

/// Writes the texts of JSON lines, or of columns, each on lines of its own; with a condition
/// returns their labels.
LineLabels write_records(TextReader& reader, const InputOptions& options, OutputFile& out) {
  const std::size_t column = options.field.empty() ? column_number(options.condition) : 0;
  std::int64_t number = 0;
  std::uint64_t written = 0;
  std::string buffer;
  LabelNotes labels;
  for_each_read_line(reader, [&](std::string_view line) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) return;
    const FieldPlace place = place_of(reader, number);
    Record record =
        column > 0 ? column_record(line, column, place) : json_record(line, options, place);
    if (!record.text.ends_with('\n')) record.text += '\n';
    if (!options.condition.empty()) labels.add(record, written);
    written += record.text.size();
    buffer += record.text;
    if (buffer.size() < piece_bytes) return;
    out.write(buffer);
    buffer.clear();
  });
  out.write(buffer);
  return labels.take();
}

/// The buffer of a stream over a TextReader. Callers read whole lines into memory from it, so a
/// line that is too long is refused.
class ReaderBuffer final : public std::streambuf {
 public:
  explicit ReaderBuffer(const fs::path& path) : reader_(path) {}

 protected:
  int_type underflow() override {
    const std::size_t got = reader_.read(bytes_.data(), bytes_.size());
    setg(bytes_.data(), bytes_.data(), bytes_.data() + got);
    const std::size_t end = std::string_view(bytes_.data(), got).rfind('\n');
    line_bytes_ = end == std::string_view::npos ? line_bytes_ + got : got - end - 1;
    if (line_bytes_ > longest_line) refuse_line(reader_);
    return got == 0 ? traits_type::eof() : traits_type::to_int_type(bytes_.front());
  }
  std::streamsize showmanyc() override { return reader_.ready() ? 1 : 0; }

 private:
  TextReader reader_;
  std::array<char, std::size_t{1} << 16> bytes_{};
  /// Since the last end of a line.
  std::size_t line_bytes_ = 0;
};

class ReaderStream final : public std::istream {
 public:
  explicit ReaderStream(const fs::path& path) : std::istream(nullptr), buffer_(path) {
    rdbuf(&buffer_);
    // What a read throws is for the caller to see.
    exceptions(std::ios::badbit);
  }

 private:
  ReaderBuffer buffer_;
};

}  // namespace

TextInputs::TextInputs(const std::vector<fs::path>& paths, const InputOptions& options,
                       const fs::path& directory, const Progress& progress) {
  try {
    for (const Found& found : list_inputs(paths, options.include)) {
      if (found.listed && !options.any_bytes && !looks_like_text(found.path)) {
        skipped_.push_back(found.path);
        continue;
      }
      auto reader = std::make_unique<TextReader>(found.path);
      const bool records = !options.field.empty() || !options.condition.empty();
      if (reader->plain_file() && !records) {
        sources_.emplace_back(found.path);
        continue;
      }
      TextSource& source = sources_.emplace_back(fs::path());
      const auto unpack = [&](OutputFile& out) {
        if (!records) {
          return unpack_text(*reader, options.any_bytes, out, [&](std::uint64_t) {
            if (progress) progress(reader->fraction(), "unpacking");
            return true;
          });
        }
        LineLabels labels = write_records(*reader, options, out);
        if (options.condition.empty()) return;
        source.labels = std::make_shared<const LineLabels>(std::move(labels));
      };
      source.name = reader->title();
      if (directory.empty()) {
        ScratchFile& out = *scratch_.emplace_back(std::make_unique<ScratchFile>());
        source.path = out.path();
        if (options.in_background && reader->regular() && !records) {
          if (!unpacker_) unpacker_ = std::make_unique<BackgroundUnpacker>();
          source.unpacking = unpacker_->add(std::move(reader), out, options.any_bytes);
        } else {
          unpack(out);
        }
        continue;
      }
      std::error_code error;
      fs::create_directories(directory, error);
      if (error) {
        throw SystemError(
            fmt::format("cannot make the directory '{}': {}", directory.string(), error.message()),
            error.value());
      }
      std::string key = fmt::format("{}\n{}", fs::absolute(found.path).lexically_normal().string(),
                                    options.field);
      if (!options.condition.empty()) key += '\n' + options.condition;
      source.path = directory / fmt::format("text-{}.txt", checksum_hex(key.data(), key.size()));
      AtomicFile out(source.path);
      unpack(out);
      out.commit();
      unpacked_.push_back(source.path);
    }
    if (sources_.empty()) throw Error(fmt::format("there is no text to read: {}", skipped_note()));
  } catch (...) {
    for (const fs::path& file : unpacked_) fs::remove(file);
    throw;
  }
}

TextInputs::~TextInputs() {
  std::error_code ignored;
  for (const fs::path& file : unpacked_) fs::remove(file, ignored);
}

std::string TextInputs::skipped_note() const {
  constexpr std::size_t most_named = 5;
  if (skipped_.empty()) return "";
  std::string names;
  for (std::size_t i = 0; i < std::min(skipped_.size(), most_named); ++i) {
    names += fmt::format("{}{}", i == 0 ? "" : ", ", skipped_[i].string());
  }
  if (skipped_.size() > most_named) names += ", ...";
  return skipped_.size() == 1
             ? fmt::format("one file is not text and was left out: {}", names)
             : fmt::format("{} files are not text and were left out: {}", skipped_.size(), names);
}

std::unique_ptr<std::istream> open_text(const fs::path& path) {
  return std::make_unique<ReaderStream>(path);
}

}  // namespace sluice
