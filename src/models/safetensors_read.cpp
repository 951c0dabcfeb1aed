#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string_view>
#include <unordered_map>

#include "safetensors_format.hpp"
#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"
#include "sluice/models/safetensors.hpp"

namespace sluice {
namespace {

using namespace safetensors;

/// The limit of the reference implementation.
constexpr std::size_t most_header = 100'000'000;

}  // namespace

/// Checks a header and its tensors against the size and the checksums of the file.
struct SafetensorsFile::Contents {
  explicit Contents(const std::filesystem::path& path) : file_(path) {
    split();
    parse();
    check_layout();
    check_header();
    for (const Entry& entry : entries_) {
      index_.emplace(entry.info.name, infos_.size());
      infos_.push_back(entry.info);
    }
    shown_metadata_ = metadata_;
    if (const auto found = metadata_.find(std::string(data_checksum)); found != metadata_.end()) {
      checksum_ = found->second;
    }
    shown_metadata_.erase(std::string(data_checksum));
    shown_metadata_.erase(std::string(header_checksum));
  }

  struct Entry {
    TensorInfo info;
    std::size_t begin = 0;
    std::size_t end = 0;
  };

  [[noreturn]] void fail(const std::string& fault) const {
    throw Error(fmt::format("cannot read '{}': {}", file_.path().string(), fault));
  }

  void split() {
    const auto bytes = file_.bytes();
    if (bytes.size() < length_size) {
      fail(
          fmt::format("{} bytes are too few for a safetensors file; it is truncated or of another "
                      "format",
                      bytes.size()));
    }
    std::uint64_t length = 0;
    std::memcpy(&length, bytes.data(), length_size);
    if (length < 2 || length > most_header ||
        (bytes.size() > length_size && file_.text()[length_size] != '{')) {
      fail("not a safetensors file");
    }
    if (length > bytes.size() - length_size) {
      fail(fmt::format("truncated: its header has {} bytes and only {} are there", length,
                       bytes.size() - length_size));
    }
    header_ = file_.text().substr(length_size, length);
    data_ = bytes.subspan(length_size + length);
  }

  void parse() {
    // An object of objects with lists in them. What is said of a model besides may be long.
    const JsonLimits limits{.levels = 3, .text = std::size_t{1} << 22, .repeated_fields = false};
    const FieldPlace place{
        .where = fmt::format("cannot read '{}': its header is damaged", file_.path().string()),
        .origin = FieldPlace::Origin::file};
    const Value header = parse_json(header_, place, limits);
    const auto* fields = header.as<Value::Object>();
    if (fields == nullptr) place.refuse("an object", header);
    for (const auto& [name, value] : *fields) {
      if (name == metadata_key) {
        read_metadata(value);
      } else {
        entries_.push_back(read_entry(name, value));
      }
    }
  }

  void read_metadata(const Value& value) {
    const auto* fields = value.as<Value::Object>();
    if (fields == nullptr) fail("its metadata is not a JSON object");
    for (const auto& [key, held] : *fields) {
      const auto* text = held.as<std::string>();
      if (text == nullptr) fail(fmt::format("its metadata '{}' is not a string", key));
      metadata_[key] = *text;
    }
  }

  Entry read_entry(const std::string& name, const Value& value) const {
    Entry entry;
    entry.info.name = name;
    const Value* const dtype = value.find("dtype");
    const auto* const text = dtype != nullptr ? dtype->as<std::string>() : nullptr;
    if (text == nullptr) fail(fmt::format("tensor '{}' has no dtype", name));
    const std::string& code = *text;
    constexpr DType known[] = {DType::f32, DType::f64, DType::bf16, DType::i32, DType::i8};
    const auto found = std::find_if(std::begin(known), std::end(known),
                                    [&](DType each) { return dtype_code(each) == code; });
    if (found == std::end(known)) {
      fail(fmt::format("tensor '{}' has dtype {}; F32, F64, BF16, I32 and I8 are supported", name,
                       code));
    }
    entry.info.dtype = *found;

    const std::vector<std::uint64_t> dims = numbers(name, value, "shape");
    if (dims.size() > 4) {
      fail(
          fmt::format("tensor '{}' has {} dimensions; at most 4 are supported", name, dims.size()));
    }
    const std::vector<std::uint64_t> offsets = numbers(name, value, "data_offsets");
    if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > data_.size()) {
      fail(offsets.size() == 2 && offsets[0] <= offsets[1]
               ? fmt::format("truncated: tensor '{}' ends at byte {} of the data and there are {}",
                             name, offsets[1], data_.size())
               : fmt::format("the offsets of tensor '{}' are damaged", name));
    }
    entry.begin = offsets[0];
    entry.end = offsets[1];

    // A product of dimensions that overflows cannot equal the size, which fits the file.
    const std::uint64_t most = (entry.end - entry.begin) / dtype_size(entry.info.dtype);
    std::uint64_t elements = 1;
    bool empty = false;
    bool fits = true;
    std::int64_t sizes[4] = {};
    for (std::size_t i = 0; i < dims.size(); ++i) {
      empty |= dims[i] == 0;
      fits &= dims[i] <= most / elements || empty;
      if (fits && !empty) elements *= dims[i];
      fits &= dims[i] <= std::numeric_limits<std::int32_t>::max();
      sizes[i] = fits ? static_cast<std::int64_t>(dims[i]) : 0;
    }
    if (empty) elements = 0;
    if (!fits || elements * dtype_size(entry.info.dtype) != entry.end - entry.begin) {
      fail(fmt::format("tensor '{}' of shape [{}] does not fit its {} bytes of data", name,
                       fmt::join(dims, ", "), entry.end - entry.begin));
    }
    switch (dims.size()) {
      case 0:
        break;
      case 1:
        entry.info.shape = Shape{sizes[0]};
        break;
      case 2:
        entry.info.shape = Shape{sizes[0], sizes[1]};
        break;
      case 3:
        entry.info.shape = Shape{sizes[0], sizes[1], sizes[2]};
        break;
      default:
        entry.info.shape = Shape{sizes[0], sizes[1], sizes[2], sizes[3]};
    }
    return entry;
  }

  std::vector<std::uint64_t> numbers(const std::string& name, const Value& value,
                                     const char* field) const {
    const Value* const held = value.find(field);
    const auto* const list = held != nullptr ? held->as<Value::List>() : nullptr;
    std::vector<std::uint64_t> out;
    bool whole = list != nullptr;
    for (std::size_t i = 0; whole && i < list->size(); ++i) {
      // Larger ones, which int64 does not hold, fit no file.
      const auto* const number = (*list)[i].as<std::int64_t>();
      whole = number != nullptr && *number >= 0;
      if (whole) out.push_back(static_cast<std::uint64_t>(*number));
    }
    if (!whole) fail(fmt::format("the {} of tensor '{}' is damaged", field, name));
    return out;
  }

  /// The data must be the tensors, one after another, without holes.
  void check_layout() {
    std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
      return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
    std::size_t position = 0;
    for (const Entry& entry : entries_) {
      if (entry.begin != position) {
        fail(fmt::format("tensor '{}' begins at byte {} of the data, expected {}", entry.info.name,
                         entry.begin, position));
      }
      position = entry.end;
    }
    if (position != data_.size()) {
      fail(fmt::format("its tensors take {} bytes and its data has {}", position, data_.size()));
    }
  }

  void check_header() const {
    const auto header = metadata_.find(std::string(header_checksum));
    if (header == metadata_.end()) return;
    std::string blank(header_);
    const std::size_t position = header_checksum_position(blank);
    if (position != std::string::npos) blank.replace(position, no_checksum.size(), no_checksum);
    if (header->second != checksum_hex(blank.data(), blank.size())) {
      fail("damaged header: the checksum does not match");
    }
  }

  void check_data() const {
    if (!checksum_.empty() && checksum_ != checksum_hex(data_.data(), data_.size())) {
      fail("damaged data: the checksum does not match");
    }
  }

  const Entry* find(const std::string& name) const {
    const auto found = index_.find(name);
    return found == index_.end() ? nullptr : &entries_[found->second];
  }

  const std::byte* data_of(const Entry& entry) const { return data_.data() + entry.begin; }

  Tensor read(const Entry& entry) const {
    Tensor tensor(entry.info.shape, entry.info.dtype);
    if (entry.end > entry.begin) {
      std::memcpy(tensor.raw(), data_.data() + entry.begin, entry.end - entry.begin);
    }
    return tensor;
  }

  MappedFile file_;
  std::string_view header_;
  std::span<const std::byte> data_;
  std::vector<Entry> entries_;
  Metadata metadata_;
  std::vector<TensorInfo> infos_;
  std::unordered_map<std::string, std::size_t> index_;
  Metadata shown_metadata_;
  std::string checksum_;
};

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : contents_(std::make_shared<const Contents>(path)) {}
SafetensorsFile::~SafetensorsFile() = default;
SafetensorsFile::SafetensorsFile(SafetensorsFile&&) noexcept = default;
SafetensorsFile& SafetensorsFile::operator=(SafetensorsFile&&) noexcept = default;

const std::filesystem::path& SafetensorsFile::path() const { return contents_->file_.path(); }
const Metadata& SafetensorsFile::metadata() const { return contents_->shown_metadata_; }
const std::string& SafetensorsFile::checksum() const { return contents_->checksum_; }
const std::vector<TensorInfo>& SafetensorsFile::tensors() const { return contents_->infos_; }
void SafetensorsFile::check_data() const { contents_->check_data(); }

const TensorInfo* SafetensorsFile::find(const std::string& name) const {
  const Contents::Entry* entry = contents_->find(name);
  return entry == nullptr ? nullptr : &entry->info;
}

Tensor SafetensorsFile::read(const std::string& name) const {
  const Contents::Entry* entry = contents_->find(name);
  if (entry == nullptr) contents_->fail(fmt::format("it has no tensor '{}'", name));
  return contents_->read(*entry);
}

Tensor SafetensorsFile::mapped(const std::string& name) const {
  const Contents::Entry* entry = contents_->find(name);
  if (entry == nullptr) contents_->fail(fmt::format("it has no tensor '{}'", name));
  return Tensor::constant(entry->info.shape, entry->info.dtype, contents_->data_of(*entry),
                          contents_);
}

TensorSources SafetensorsFile::sources(std::string_view prefix) const {
  TensorSources out;
  for (const TensorInfo& info : tensors()) {
    if (!info.name.starts_with(prefix)) continue;
    out.push_back({{info.name.substr(prefix.size()), info.shape, info.dtype},
                   [contents = contents_.get(), &name = info.name] {
                     return contents->read(*contents->find(name));
                   }});
  }
  return out;
}

NamedTensors read_safetensors(const std::filesystem::path& path, Metadata* metadata) {
  const SafetensorsFile file(path);
  file.check_data();
  NamedTensors tensors;
  tensors.reserve(file.tensors().size());
  for (const TensorInfo& info : file.tensors())
    tensors.emplace_back(info.name, file.read(info.name));
  if (metadata != nullptr) *metadata = file.metadata();
  return tensors;
}

}  // namespace sluice
