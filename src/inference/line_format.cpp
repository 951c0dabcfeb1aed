#include "sluice/inference/line_format.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <istream>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "nbest_fields.hpp"
#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/numbers.hpp"
#include "sluice/text/detail/utf8.hpp"

namespace sluice {
namespace {

constexpr const char* four_columns = "log_probability\ttokens\toov\tperplexity";
/// What JSON objects get; words and pieces where they are asked for.
constexpr std::array score_fields = {"log_probability",  "tokens",          "oov",
                                     "perplexity",       "word_perplexity", "byte_perplexity",
                                     "known_perplexity", "words",           "pieces"};
constexpr const char* four_failed = "nan\t0\t0\tnan";

std::string dumped(Value::Object object) {
  return json_text(std::move(object), -1, JsonNames::as_given);
}

/// Adds the fields of a score to an object.
Value::Object with_score(Value::Object object, const LineScore& score) {
  const Value::Object fields = {{"log_probability", score.log_probability},
                                {"tokens", score.tokens},
                                {"oov", score.oov},
                                {"perplexity", score.perplexity},
                                {"word_perplexity", score.word_perplexity},
                                {"byte_perplexity", score.byte_perplexity},
                                {"known_perplexity", score.known_perplexity}};
  object.insert(object.end(), fields.begin(), fields.end());
  Value::List words, pieces;
  for (const WordScore& word : score.words) {
    words.emplace_back(Value::Object{{"text", word.text},
                                     {"log_probability", word.log_probability},
                                     {"tokens", word.tokens},
                                     {"oov", word.oov},
                                     {"begin", word.begin},
                                     {"end", word.end}});
  }
  for (const TokenScore& piece : score.pieces) {
    pieces.emplace_back(Value::Object{{"text", piece.text},
                                      {"log_probability", piece.log_probability},
                                      {"oov", piece.oov},
                                      {"begin", piece.begin},
                                      {"end", piece.end}});
  }
  if (!words.empty()) object.emplace_back("words", std::move(words));
  if (!pieces.empty()) object.emplace_back("pieces", std::move(pieces));
  return object;
}

std::string four(const LineScore& score) {
  return fmt::format("{:.4f}\t{}\t{}\t{:.3f}", score.log_probability, score.tokens, score.oov,
                     score.perplexity);
}

/// "TEXT LOG-PROBABILITY" of each word or token.
std::vector<std::string> parts_of(const LineScore& score) {
  std::vector<std::string> parts;
  const auto add = [&](const auto& part) {
    parts.push_back(fmt::format("{} {:.4f}", escaped_text(part.text), part.log_probability));
  };
  std::for_each(score.words.begin(), score.words.end(), add);
  std::for_each(score.pieces.begin(), score.pieces.end(), add);
  return parts;
}

/// Lines that become an object when that is asked for.
class ObjectCodec : public LineCodec {
 public:
  explicit ObjectCodec(bool json) : json_(json) {}
  std::string write(const FormattedLine& line, const LineScore& score) const final {
    if (!json_) return write_text(line, score);
    Value::Object object;
    if (!line.id.empty()) object.emplace_back("id", line.id);
    return dumped(with_score(std::move(object), score));
  }
  std::string failed(const FormattedLine& line, const std::string& fault) const final {
    if (!json_) return failed_text(line);
    Value::Object object;
    if (!line.id.empty()) object.emplace_back("id", line.id);
    object.emplace_back("error", fault);
    return dumped(std::move(object));
  }

 protected:
  bool json() const { return json_; }

 private:
  virtual std::string write_text(const FormattedLine& line, const LineScore& score) const = 0;
  virtual std::string failed_text(const FormattedLine& line) const = 0;
  bool json_;
};

class PlainCodec final : public ObjectCodec {
 public:
  using ObjectCodec::ObjectCodec;
  FormattedLine parse(const std::string& line, const std::string& /*where*/) const override {
    FormattedLine parsed;
    parsed.text = line;
    return parsed;
  }

 private:
  std::string write_text(const FormattedLine& /*line*/, const LineScore& score) const override {
    std::string text = four(score);
    for (const std::string& part : parts_of(score)) text += "\t" + part;
    return text;
  }
  std::string failed_text(const FormattedLine& /*line*/) const override { return four_failed; }
};

class KaldiCodec final : public ObjectCodec {
 public:
  using ObjectCodec::ObjectCodec;
  FormattedLine parse(const std::string& line, const std::string& where) const override {
    FormattedLine parsed;
    const KaldiFields fields = kaldi_fields(line, where);
    parsed.id = fields.id;
    parsed.text = fields.rest;
    return parsed;
  }

 private:
  std::string write_text(const FormattedLine& line, const LineScore& score) const override {
    std::string text = fmt::format("{} {:.4f}", line.id, -score.log_probability);
    for (const std::string& part : parts_of(score)) text += " " + part;
    return text;
  }
  std::string failed_text(const FormattedLine& line) const override {
    return (line.id.empty() ? "?" : line.id) + " nan";
  }
};

class MosesCodec final : public ObjectCodec {
 public:
  explicit MosesCodec(const LineFormatOptions& options)
      : ObjectCodec(options.json), feature_(options.feature) {}
  FormattedLine parse(const std::string& line, const std::string& where) const override {
    FormattedLine parsed;
    const std::vector<std::string_view> fields = moses_fields(line, where);
    parsed.id = fields[0];
    parsed.text = fields[1];
    return parsed;
  }

 private:
  std::string write_text(const FormattedLine& line, const LineScore& score) const override {
    return with_moses_feature(line.line, feature_, score.log_probability);
  }
  std::string failed_text(const FormattedLine& line) const override { return line.line; }

  std::string feature_;
};

class TsvCodec final : public ObjectCodec {
 public:
  explicit TsvCodec(const LineFormatOptions& options)
      : ObjectCodec(options.json), options_(options) {
    if (!options.header) find_columns({});
  }
  bool has_header() const override { return options_.header; }
  std::string header(const std::string& line) override {
    std::vector<std::string> names;
    for (const std::string_view name : columns_of(line)) names.emplace_back(name);
    find_columns(names);
    columns_ = names.size();
    // Objects have names of their own.
    return json() ? "" : line + "\t" + four_columns;
  }
  FormattedLine parse(const std::string& line, const std::string& where) const override {
    const std::vector<std::string_view> columns = columns_of(line);
    const auto column = [&](std::size_t index) {
      if (index < columns.size()) return std::string(columns[index]);
      throw Error(fmt::format("{}: expected at least {} columns between tabs, got {}", where,
                              index + 1, columns.size()));
    };
    if (columns_ > 0 && columns.size() > columns_) {
      throw Error(
          fmt::format("{}: expected at most {} columns between tabs, as the first line has, got {}",
                      where, columns_, columns.size()));
    }
    FormattedLine parsed;
    parsed.text = column(text_);
    if (context_) parsed.context = column(*context_);
    return parsed;
  }

 private:
  static std::vector<std::string_view> columns_of(std::string_view line) {
    return split_fields(line, "\t");
  }
  std::size_t find(const std::string& name, const std::vector<std::string>& names) const {
    if (options_.header) {
      const auto found = std::find(names.begin(), names.end(), name);
      if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
      throw Error(
          fmt::format("line 1: there is no column {} among {}; name the one that has the "
                      "text, or say that there is no header",
                      in_quotes(name), fmt::join(names, ", ")));
    }
    const auto number = whole_number(name);
    if (name == LineFormatOptions().text_column) return 0;
    if (number && *number >= 1) return static_cast<std::size_t>(*number - 1);
    throw UsageError(
        fmt::format("without a header, a column is a number from 1 on, got {}", in_quotes(name)));
  }
  void find_columns(const std::vector<std::string>& names) {
    text_ = find(options_.text_column, names);
    if (!options_.context_column.empty()) context_ = find(options_.context_column, names);
  }
  std::string write_text(const FormattedLine& line, const LineScore& score) const override {
    std::string text = whole_row(line.line) + "\t" + four(score);
    const std::vector<std::string> parts = parts_of(score);
    if (!parts.empty()) text += fmt::format("\t{}", fmt::join(parts, " "));
    return text;
  }
  std::string failed_text(const FormattedLine& line) const override {
    return whole_row(line.line) + "\t" + four_failed;
  }
  /// The row with a tab for each column of the header that it lacks, so that what is written behind
  /// it stands below its name.
  std::string whole_row(const std::string& row) const {
    const std::size_t there = columns_of(row).size();
    return row + std::string(columns_ > there ? columns_ - there : 0, '\t');
  }

  LineFormatOptions options_;
  std::size_t columns_ = 0;  // of the header; 0 without one
  std::size_t text_ = 0;
  std::optional<std::size_t> context_;
};

class JsonlCodec final : public LineCodec {
 public:
  explicit JsonlCodec(const LineFormatOptions& options) : options_(options) {}
  FormattedLine parse(const std::string& line, const std::string& where) const override {
    const FieldPlace place{.where = where, .origin = FieldPlace::Origin::file};
    const Value value = parse_json(line, place, json_line);
    if (value.as<Value::Object>() == nullptr) place.refuse("an object", value);
    const auto text = [&](const std::string& name) {
      const Value* const field = value.find(name);
      if (field != nullptr && field->as<std::string>() != nullptr) return *field->as<std::string>();
      if (field == nullptr) {
        throw Error(fmt::format("{}: the object has no field {}", where, in_quotes(name)));
      }
      place.field(name).refuse("a text", *field);
    };
    FormattedLine parsed;
    parsed.text = text(options_.text_column);
    if (!options_.context_column.empty()) parsed.context = text(options_.context_column);
    if (parsed.text.find('\n') != std::string::npos) {
      throw Error(
          fmt::format("{}: the text has a line end in it, expected one line; write what is "
                      "before as its context",
                      where));
    }
    for (const char* const name : score_fields) {
      if (value.find(name) != nullptr) {
        throw Error(fmt::format("{}: the object has a field {} already; rename it", where,
                                in_quotes(name)));
      }
    }
    return parsed;
  }
  std::string write(const FormattedLine& line, const LineScore& score) const override {
    return with_json_fields(line.line, score_json(score));
  }
  std::string failed(const FormattedLine& /*line*/, const std::string& fault) const override {
    return dumped({{"error", fault}});
  }

 private:
  LineFormatOptions options_;
};

/// Reads lines in blocks of bounded size, each a piece of work: the number of its first line, the
/// header, if there is one, and the lines.
class LineBlocks {
 public:
  LineBlocks(std::istream& in, bool bytes_matter) : in_(in), bytes_matter_(bytes_matter) {}

  /// The first line, which is a header; none of an empty stream.
  const std::optional<std::string>& read_header() {
    header_ = next();
    return header_;
  }
  std::optional<PieceWork::Piece> read() {
    std::vector<std::string> block{std::to_string(count_ + 1), header_.value_or("")};
    std::size_t bytes = 0;
    bool more = true;
    while (block.size() < most_lines + 2 && bytes < most_bytes && more) {
      std::optional<std::string> line = next();
      if (!line) break;
      bytes += line->size();
      block.push_back(std::move(*line));
      more = in_.rdbuf()->in_avail() > 0;
    }
    if (block.size() == 2) return std::nullopt;
    return PieceWork::Piece{pack(block), more};
  }

 private:
  static constexpr std::size_t most_lines = 4096;
  static constexpr std::size_t most_bytes = std::size_t{1} << 20;

  std::optional<std::string> next() {
    std::string line;
    if (!std::getline(in_, line)) return std::nullopt;
    ++count_;
    if (!bytes_matter_ && line.ends_with('\r')) line.pop_back();
    return line;
  }

  std::istream& in_;
  bool bytes_matter_;
  std::optional<std::string> header_;
  std::int64_t count_ = 0;
};

FormattedLine parse_checked(std::string line, const std::string& where, const LineScorer& scorer,
                            const LineCodec& codec, std::string& fault) {
  FormattedLine parsed;
  try {
    parsed = codec.parse(line, where);
    scorer.check_text({parsed.text, parsed.context}, where);
  } catch (const Error& error) {
    fault = error.what();
  }
  parsed.line = std::move(line);
  return parsed;
}

/// Of each line what is written, and what is said of it where it is no good, else nothing.
std::vector<std::string> score_block(std::span<const std::string> lines, std::int64_t first,
                                     LineScorer& scorer, const LineCodec& codec) {
  std::vector<FormattedLine> parsed;
  std::vector<std::string> faults(lines.size());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::string where = fmt::format("line {}", first + static_cast<std::int64_t>(i));
    parsed.push_back(parse_checked(lines[i], where, scorer, codec, faults[i]));
  }
  std::vector<TextToScore> texts;
  for (std::size_t i = 0; i < parsed.size(); ++i) {
    if (faults[i].empty()) texts.push_back({parsed[i].text, parsed[i].context});
  }
  const std::vector<LineScore> scores = scorer.score(texts);
  auto score = scores.begin();
  std::vector<std::string> out;
  for (std::size_t i = 0; i < parsed.size(); ++i) {
    out.push_back(faults[i].empty() ? codec.write(parsed[i], *score++)
                                    : codec.failed(parsed[i], faults[i]));
    out.push_back(std::move(faults[i]));
  }
  return out;
}

}  // namespace

const EnumNames<LineFormat>& enum_names(LineFormat /*format*/) {
  static const EnumNames<LineFormat> names("form of lines", {{LineFormat::plain, "plain"},
                                                             {LineFormat::tsv, "tsv"},
                                                             {LineFormat::kaldi, "kaldi"},
                                                             {LineFormat::moses, "moses"},
                                                             {LineFormat::jsonl, "jsonl"}});
  return names;
}

std::string LineCodec::header(const std::string& line) { return line; }

std::string score_json(const LineScore& score) { return dumped(with_score({}, score)); }

std::string escaped_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '\\':
        out += "\\\\";
        break;
      case ' ':
        out += "\\s";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::unique_ptr<LineCodec> make_line_codec(const LineFormatOptions& options) {
  const bool named = options.format == LineFormat::tsv || options.format == LineFormat::jsonl;
  if (!named && !options.context_column.empty()) {
    throw UsageError(fmt::format("a column of contexts needs the form tsv or jsonl, got {}",
                                 name_of(options.format)));
  }
  switch (options.format) {
    case LineFormat::plain:
      return std::make_unique<PlainCodec>(options.json);
    case LineFormat::tsv:
      return std::make_unique<TsvCodec>(options);
    case LineFormat::kaldi:
      return std::make_unique<KaldiCodec>(options.json);
    case LineFormat::moses:
      return std::make_unique<MosesCodec>(options);
    case LineFormat::jsonl:
      break;
  }
  return std::make_unique<JsonlCodec>(options);
}

std::int64_t score_lines_of(std::istream& in, LineScorer& scorer, LineCodec& codec,
                            const LineOutput& output, PieceWork& work) {
  LineBlocks blocks(in, scorer.bytes_matter());
  bool header_known = !codec.has_header();
  if (work.leads() && !header_known) {
    const std::optional<std::string>& first = blocks.read_header();
    const std::string header = first ? codec.header(*first) : "";
    if (!header.empty()) output.line(header);
    header_known = true;
  }
  std::int64_t failed = 0;
  const auto score = [&](std::string_view piece) {
    const std::vector<std::string> block = unpack(piece);
    // Another process has read it.
    if (!std::exchange(header_known, true)) static_cast<void>(codec.header(block[1]));
    return pack(score_block(std::span(block).subspan(2), std::stoll(block[0]), scorer, codec));
  };
  const auto write = [&](std::string_view result) {
    const std::vector<std::string> lines = unpack(result);
    for (std::size_t i = 0; i < lines.size(); i += 2) {
      output.line(lines[i]);
      if (lines[i + 1].empty()) continue;
      ++failed;
      output.fault(lines[i + 1]);
    }
    output.flush();
  };
  work.stream([&] { return blocks.read(); }, score, write);
  return failed;
}

std::int64_t score_lines_of(std::istream& in, LineScorer& scorer, LineCodec& codec,
                            const LineOutput& output) {
  OwnWork work;
  return score_lines_of(in, scorer, codec, output, work);
}

}  // namespace sluice
