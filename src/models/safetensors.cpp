#include "sluice/models/safetensors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <string_view>

#include "sluice/base/error.hpp"
#include "sluice/base/file.hpp"

namespace sluice {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");

constexpr std::size_t length_size = 8;
constexpr std::size_t alignment = 64;
/// The limit of the reference implementation.
constexpr std::size_t most_header = 100'000'000;
constexpr std::string_view metadata_key = "__metadata__";
constexpr std::string_view data_checksum = "xxh3_64";
constexpr std::string_view header_checksum = "header_xxh3_64";
constexpr std::string_view no_checksum = "0000000000000000";

std::string_view dtype_code(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return "F64";
    case DType::bf16:
      return "BF16";
    case DType::i32:
      return "I32";
    case DType::f32:
      break;
  }
  return "F32";
}

/// Where the value of the header's own checksum begins, or npos.
std::size_t header_checksum_position(std::string_view header) {
  const std::string start = fmt::format("\"{}\":\"", header_checksum);
  const std::size_t found = header.find(start);
  if (found == std::string_view::npos) return found;
  const std::size_t value = found + start.size();
  const bool whole =
      value + no_checksum.size() < header.size() && header[value + no_checksum.size()] == '"';
  return whole ? value : std::string_view::npos;
}

/// Checks a header and its tensors against the size and checksums of the data.
class Reader {
 public:
  explicit Reader(const std::filesystem::path& path) : file_(path) {}

  NamedTensors read(Metadata* metadata) {
    split();
    parse();
    check_layout();
    check_checksums();
    NamedTensors tensors;
    tensors.reserve(entries_.size());
    for (const Entry& entry : entries_) {
      Tensor tensor(entry.shape, entry.dtype);
      if (entry.end > entry.begin) {
        std::memcpy(tensor.raw(), data_.data() + entry.begin, entry.end - entry.begin);
      }
      tensors.emplace_back(entry.name, std::move(tensor));
    }
    if (metadata != nullptr) {
      *metadata = metadata_;
      metadata->erase(std::string(data_checksum));
      metadata->erase(std::string(header_checksum));
    }
    return tensors;
  }

 private:
  struct Entry {
    std::string name;
    DType dtype = DType::f32;
    Shape shape;
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
    std::set<std::string> names;
    const nlohmann::json::parser_callback_t check =
        [&](int depth, nlohmann::json::parse_event_t event, nlohmann::json& value) {
          if (depth > 3) fail("its header is damaged (nested too deeply)");
          if (depth == 1 && event == nlohmann::json::parse_event_t::key &&
              !names.insert(value.get<std::string>()).second) {
            fail(fmt::format("its header names '{}' twice", value.get<std::string>()));
          }
          return true;
        };
    nlohmann::json header;
    try {
      header = nlohmann::json::parse(header_, check);
    } catch (const nlohmann::json::exception&) {
      fail("its header is damaged (not JSON)");
    }
    if (!header.is_object()) fail("its header is damaged (not a JSON object)");
    for (const auto& [name, value] : header.items()) {
      if (name == metadata_key) {
        read_metadata(value);
      } else {
        entries_.push_back(read_entry(name, value));
      }
    }
  }

  void read_metadata(const nlohmann::json& value) {
    if (!value.is_object()) fail("its metadata is not a JSON object");
    for (const auto& [key, text] : value.items()) {
      if (!text.is_string()) fail(fmt::format("its metadata '{}' is not a string", key));
      metadata_[key] = text.get<std::string>();
    }
  }

  Entry read_entry(const std::string& name, const nlohmann::json& value) const {
    Entry entry;
    entry.name = name;
    const auto dtype = value.is_object() ? value.find("dtype") : value.end();
    if (!value.is_object() || dtype == value.end() || !dtype->is_string()) {
      fail(fmt::format("tensor '{}' has no dtype", name));
    }
    const auto& code = dtype->get_ref<const std::string&>();
    constexpr DType known[] = {DType::f32, DType::f64, DType::bf16, DType::i32};
    const auto found = std::find_if(std::begin(known), std::end(known),
                                    [&](DType each) { return dtype_code(each) == code; });
    if (found == std::end(known)) {
      fail(fmt::format("tensor '{}' has dtype {}; F32, F64, BF16 and I32 are supported", name,
                       code));
    }
    entry.dtype = *found;

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
    const std::uint64_t most = (entry.end - entry.begin) / dtype_size(entry.dtype);
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
    if (!fits || elements * dtype_size(entry.dtype) != entry.end - entry.begin) {
      fail(fmt::format("tensor '{}' of shape [{}] does not fit its {} bytes of data", name,
                       fmt::join(dims, ", "), entry.end - entry.begin));
    }
    switch (dims.size()) {
      case 0:
        break;
      case 1:
        entry.shape = Shape{sizes[0]};
        break;
      case 2:
        entry.shape = Shape{sizes[0], sizes[1]};
        break;
      case 3:
        entry.shape = Shape{sizes[0], sizes[1], sizes[2]};
        break;
      default:
        entry.shape = Shape{sizes[0], sizes[1], sizes[2], sizes[3]};
    }
    return entry;
  }

  std::vector<std::uint64_t> numbers(const std::string& name, const nlohmann::json& value,
                                     const char* field) const {
    const auto list = value.find(field);
    std::vector<std::uint64_t> out;
    bool whole = list != value.end() && list->is_array();
    if (whole) {
      for (const nlohmann::json& number : *list) {
        whole &= number.is_number_unsigned();
        if (whole) out.push_back(number.get<std::uint64_t>());
      }
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
        fail(fmt::format("tensor '{}' begins at byte {} of the data, expected {}", entry.name,
                         entry.begin, position));
      }
      position = entry.end;
    }
    if (position != data_.size()) {
      fail(fmt::format("its tensors take {} bytes and its data has {}", position, data_.size()));
    }
  }

  void check_checksums() const {
    const auto data = metadata_.find(std::string(data_checksum));
    if (data != metadata_.end() && data->second != checksum_hex(data_.data(), data_.size())) {
      fail("damaged data: the checksum does not match");
    }
    const auto header = metadata_.find(std::string(header_checksum));
    if (header == metadata_.end()) return;
    std::string blank(header_);
    const std::size_t position = header_checksum_position(blank);
    if (position != std::string::npos) blank.replace(position, no_checksum.size(), no_checksum);
    if (header->second != checksum_hex(blank.data(), blank.size())) {
      fail("damaged header: the checksum does not match");
    }
  }

  MappedFile file_;
  std::string_view header_;
  std::span<const std::byte> data_;
  std::vector<Entry> entries_;
  Metadata metadata_;
};

}  // namespace

void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors,
                       const Metadata& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  header[metadata_key] = metadata;
  std::size_t size = 0;
  for (const auto& [name, tensor] : tensors) {
    if (name.empty() || header.contains(name)) {
      throw Error(
          fmt::format("cannot write '{}': the tensor name '{}' is empty, reserved or used "
                      "twice",
                      path.string(), name));
    }
    std::vector<std::int64_t> dims;
    dims.reserve(static_cast<std::size_t>(tensor.shape().rank()));
    for (int i = 0; i < tensor.shape().rank(); ++i) dims.push_back(tensor.dim(i));
    header[name] = {{"dtype", dtype_code(tensor.dtype())},
                    {"shape", dims},
                    {"data_offsets", {size, size + tensor.bytes()}}};
    size += tensor.bytes();
  }

  // One buffer: the checksum needs the data as it lies in the file.
  std::string data;
  data.reserve(size);
  for (const auto& [name, tensor] : tensors) {
    data.append(static_cast<const char*>(tensor.raw()), tensor.bytes());
  }
  header[metadata_key][data_checksum] = checksum_hex(data.data(), data.size());
  header[metadata_key][header_checksum] = no_checksum;

  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::exception&) {
    throw Error(
        fmt::format("cannot write '{}': a name or the metadata is not UTF-8", path.string()));
  }
  const std::size_t unpadded = length_size + text.size();
  text.append((alignment - unpadded % alignment) % alignment, ' ');
  text.replace(header_checksum_position(text), no_checksum.size(),
               checksum_hex(text.data(), text.size()));

  const std::uint64_t length = text.size();
  AtomicFile file(path);
  file.write(&length, sizeof length);
  file.write(text);
  file.write(data);
  file.commit();
}

NamedTensors read_safetensors(const std::filesystem::path& path, Metadata* metadata) {
  return Reader(path).read(metadata);
}

}  // namespace sluice
