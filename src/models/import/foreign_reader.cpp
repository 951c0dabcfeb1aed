// What a file of another program has, whichever of three forms it is in.

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "foreign_file.hpp"
#include "pickle.hpp"
#include "sluice/base/detail/json.hpp"
#include "sluice/base/error.hpp"
#include "sluice/base/names.hpp"
#include "zip_archive.hpp"

namespace sluice {
namespace {

constexpr std::uint64_t most_pickle_bytes = std::uint64_t{64} << 20U;

/// A type by the name of torch's storages, and the bytes of an element.
struct NamedType {
  const char* name;
  ForeignType type;
  std::size_t size;
};
constexpr NamedType storage_types[] = {
    {"torch.FloatStorage", ForeignType::f32, 4},   {"torch.DoubleStorage", ForeignType::f64, 8},
    {"torch.HalfStorage", ForeignType::f16, 2},    {"torch.BFloat16Storage", ForeignType::bf16, 2},
    {"torch.LongStorage", ForeignType::other, 8},  {"torch.IntStorage", ForeignType::other, 4},
    {"torch.ShortStorage", ForeignType::other, 2}, {"torch.CharStorage", ForeignType::other, 1},
    {"torch.ByteStorage", ForeignType::other, 1},  {"torch.BoolStorage", ForeignType::other, 1},
};

/// The product of sizes; nothing when one is negative or it is beyond `most`.
bool count_elements(const std::vector<std::int64_t>& shape, std::uint64_t most,
                    std::uint64_t& count) {
  count = 1;
  for (const std::int64_t size : shape) {
    if (size < 0) return false;
    const auto factor = static_cast<std::uint64_t>(size);
    if (factor != 0 && count > most / factor) return false;
    count *= factor;
  }
  return count <= most;
}

}  // namespace

/// Fills a ForeignFile from whichever kind of file it is.
class ForeignReader {
 public:
  explicit ForeignReader(ForeignFile& out) : out_(out) {}

  void run() {
    std::string start(std::min<std::uint64_t>(out_.file_.size(), 16), '\0');
    out_.file_.read(0, start.data(), start.size());
    if (start.starts_with("PK\x03\x04")) {
      read_zip();
    } else if (start.starts_with("\x80\x02\x8a\x0a")) {
      read_legacy();
    } else if (start.size() > 8 && start[8] == '{') {
      read_safetensors_header();
    } else {
      fail("it is neither safetensors nor a file that torch.save() wrote");
    }
  }

 private:
  using Kind = PickleNode::Kind;

  /// A storage: where it lies and how many elements it has.
  struct Storage {
    std::uint64_t offset = 0, bytes = 0;
  };

  [[noreturn]] static void fail(const std::string& fault) { throw Error(fault); }

  static const NamedType& type_of(const PickleNode& storage) {
    for (const NamedType& named : storage_types) {
      if (storage.items[0]->kind == Kind::global && storage.items[0]->text == named.name) {
        return named;
      }
    }
    fail(fmt::format("it has a storage of an unknown type, {}", in_quotes(storage.items[0]->text)));
  }

  std::string bytes_of(const ZipEntry& entry, const std::string& name) const {
    if (!entry.stored) fail(fmt::format("its entry '{}' is packed; torch.save() packs none", name));
    if (entry.size > most_pickle_bytes) {
      fail(fmt::format("its entry '{}' is larger than 64 MiB", name));
    }
    std::string bytes(entry.size, '\0');
    out_.file_.read(entry.offset, bytes.data(), bytes.size());
    return bytes;
  }

  void read_zip() {
    const auto entries = read_zip_directory(out_.file_);
    const auto pickle = std::find_if(entries.begin(), entries.end(), [](const auto& entry) {
      return entry.first.ends_with("/data.pkl");
    });
    if (pickle == entries.end())
      fail("its zip archive has no data.pkl: torch.save() did not write it");
    const std::string stem = pickle->first.substr(0, pickle->first.size() - 8);
    const auto order = entries.find(stem + "byteorder");
    if (order != entries.end() && bytes_of(order->second, order->first) != "little") {
      fail("it was written on a big-endian machine");
    }
    const Pickle read(bytes_of(pickle->second, pickle->first));
    for (const PickleNode& node : read.nodes()) {
      if (node.kind != Kind::storage) continue;
      const std::string& key = node.items[1]->text;
      const auto found = entries.find(fmt::format("{}data/{}", stem, key));
      if (found == entries.end()) fail(fmt::format("its storage {} is missing", in_quotes(key)));
      if (!found->second.stored) fail(fmt::format("its storage {} is packed", in_quotes(key)));
      storages_[key] = {found->second.offset, found->second.size};
    }
    take(read);
  }

  /// The form before 1.6: five pickles, then the storages.
  void read_legacy() {
    std::string bytes(std::min(out_.file_.size(), most_pickle_bytes), '\0');
    out_.file_.read(0, bytes.data(), bytes.size());
    std::string_view rest = bytes;
    const auto next = [&rest] {
      auto read = std::make_unique<const Pickle>(rest);
      rest.remove_prefix(read->size());
      return read;
    };
    const auto magic = next();
    constexpr std::string_view torch_magic = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
    if (magic->root().text != torch_magic) fail("it is a pickle that torch.save() did not write");
    if (next()->root().integer != 1001) fail("it is of a protocol that is not known");
    const auto system = next();
    const PickleNode* const little = system->root().find("little_endian");
    if (little == nullptr || little->integer == 0) fail("it was written on a big-endian machine");
    const auto read = next();
    const auto keys = next();
    std::map<std::string, std::size_t> sizes;
    for (const PickleNode& node : read->nodes()) {
      if (node.kind == Kind::storage) sizes[node.items[1]->text] = type_of(node).size;
    }
    std::uint64_t at = bytes.size() - rest.size();
    for (const PickleNode* const key : keys->root().items) {
      const auto size = sizes.find(key->text);
      if (size == sizes.end())
        fail(fmt::format("its storage {} is of no tensor", in_quotes(key->text)));
      std::uint64_t count = 0;
      if (out_.file_.size() - at < sizeof count) fail("it is cut short");
      out_.file_.read(at, &count, sizeof count);
      at += sizeof count;
      if (count > (out_.file_.size() - at) / size->second) fail("it is cut short");
      storages_[key->text] = {at, count * size->second};
      at += count * size->second;
    }
    take(*read);
  }

  void take(const Pickle& read) {
    out_.inert_.assign(read.inert().begin(), read.inert().end());
    const PickleNode& root = read.root();
    for (const char* name : {"args", "cfg"}) {
      const PickleNode* settings = root.find(name);
      if (settings == nullptr) continue;
      if (const PickleNode* const model = settings->find("model")) settings = model;
      take_settings(*settings);
    }
    const PickleNode* weights = &root;
    for (const char* name : {"model", "state_dict", "model_state_dict"}) {
      const PickleNode* const found = root.find(name);
      if (found != nullptr && (found->kind == Kind::dict || found->kind == Kind::object)) {
        weights = found;
        break;
      }
    }
    take_tensors(*weights, "", 0);
  }

  void take_settings(const PickleNode& node) {
    const PickleNode* dict = &node;
    for (const PickleNode* const state : node.items) {
      if (node.kind == Kind::object && state->kind == Kind::dict) dict = state;
    }
    if (dict->kind != Kind::dict) return;
    for (std::size_t i = 0; i + 1 < dict->items.size(); i += 2) {
      const PickleNode& value = *dict->items[i + 1];
      const std::string& name = dict->items[i]->text;
      if (value.kind == Kind::text) out_.settings_[name] = value.text;
      if (value.kind == Kind::integer || value.kind == Kind::boolean) {
        out_.settings_[name] = std::to_string(value.integer);
      }
      if (value.kind == Kind::real) out_.settings_[name] = fmt::format("{}", value.real);
    }
  }

  void take_tensors(const PickleNode& node, const std::string& name, int depth) {
    constexpr int deepest = 32;
    constexpr std::size_t most_visits = 1'000'000;
    if (depth > deepest) fail("its values are nested more than 32 deep");
    if (++visits_ > most_visits) fail("it has more than a million values");
    if (node.kind == Kind::tensor) {
      take_tensor(node, name);
      return;
    }
    if (node.kind == Kind::object) {
      for (const PickleNode* const state : node.items) {
        bool module = false;
        for (const char* part : {"_parameters", "_buffers", "_modules"}) {
          const PickleNode* const found = state->find(part);
          module = module || found != nullptr;
          if (found != nullptr) take_tensors(*found, name, depth + 1);
        }
        if (!module) take_tensors(*state, name, depth + 1);
      }
      return;
    }
    if (node.kind != Kind::dict) return;
    for (std::size_t i = 0; i + 1 < node.items.size(); i += 2) {
      if (node.items[i]->kind != Kind::text) continue;
      const std::string& key = node.items[i]->text;
      take_tensors(*node.items[i + 1], name.empty() ? key : fmt::format("{}.{}", name, key),
                   depth + 1);
    }
  }

  static std::vector<std::int64_t> integers(const PickleNode& node) {
    std::vector<std::int64_t> numbers;
    for (const PickleNode* const item : node.items) numbers.push_back(item->integer);
    return numbers;
  }

  void take_tensor(const PickleNode& node, const std::string& name) {
    const auto refuse = [&](const char* why) {
      fail(fmt::format("its tensor {} {}", in_quotes(name), why));
    };
    const PickleNode& storage = *node.items[0];
    if (storage.kind != Kind::storage) refuse("has no storage");
    const NamedType& type = type_of(storage);
    const auto found = storages_.find(storage.items[1]->text);
    if (found == storages_.end()) refuse("has a storage that is missing");
    const std::uint64_t held = found->second.bytes / type.size;
    ForeignTensor tensor;
    tensor.name = name;
    tensor.type = type.type;
    tensor.shape = integers(*node.items[2]);
    tensor.strides = integers(*node.items[3]);
    std::uint64_t first = static_cast<std::uint64_t>(node.items[1]->integer);
    if (storage.items.size() > 4 && storage.items[4]->items.size() == 3) {
      const std::int64_t view = storage.items[4]->items[1]->integer;
      if (view < 0 || static_cast<std::uint64_t>(view) > held) refuse("is outside its storage");
      first += static_cast<std::uint64_t>(view);
    }
    std::uint64_t count = 0;
    if (node.items[1]->integer < 0 || first > held ||
        tensor.shape.size() != tensor.strides.size() ||
        !count_elements(tensor.shape, held, count)) {
      refuse("is larger than its storage");
    }
    std::uint64_t last = first;
    for (std::size_t i = 0; count > 0 && i < tensor.shape.size(); ++i) {
      const auto steps = static_cast<std::uint64_t>(tensor.shape[i] - 1);
      const auto stride = static_cast<std::uint64_t>(tensor.strides[i]);
      if (tensor.strides[i] < 0 || (steps > 0 && stride > (held - last) / steps)) {
        refuse("is outside its storage");
      }
      last += steps * stride;
    }
    if (count > 0 && last >= held) refuse("is outside its storage");
    tensor.offset = found->second.offset + first * type.size;
    add(std::move(tensor));
  }

  void read_safetensors_header() {
    std::uint64_t size = 0;
    out_.file_.read(0, &size, sizeof size);
    if (size > most_json_bytes) fail("its header is larger than 16 MiB");
    if (size > out_.file_.size() - 8) fail("it is cut short");
    std::string header(size, '\0');
    out_.file_.read(8, header.data(), size);
    const std::uint64_t room = out_.file_.size() - 8 - size;
    const Value all =
        parse_json(header, {.where = "its header", .origin = FieldPlace::Origin::file});
    const auto* const fields = all.as<Value::Object>();
    if (fields == nullptr) fail("its header is no object");
    for (const auto& [name, value] : *fields) {
      if (name != "__metadata__") take_described(name, value, 8 + size, room);
    }
  }

  void take_described(const std::string& name, const Value& value, std::uint64_t data,
                      std::uint64_t room) {
    const auto refuse = [&] {
      fail(fmt::format("its tensor {} is not well described", in_quotes(name)));
    };
    const Value* const type = value.find("dtype");
    const Value* const shape = value.find("shape");
    const Value* const place = value.find("data_offsets");
    if (type == nullptr || shape == nullptr || place == nullptr) refuse();
    const auto* const type_name = type->as<std::string>();
    const auto* const sizes = shape->as<Value::List>();
    const auto* const ends = place->as<Value::List>();
    if (type_name == nullptr || sizes == nullptr || ends == nullptr || ends->size() != 2) refuse();
    ForeignTensor tensor;
    tensor.name = name;
    for (const auto& [known, its] : {std::pair{"F16", ForeignType::f16},
                                     {"BF16", ForeignType::bf16},
                                     {"F32", ForeignType::f32},
                                     {"F64", ForeignType::f64}}) {
      if (*type_name == known) tensor.type = its;
    }
    const auto number = [&](const Value& each) {
      const auto* const whole = each.as<std::int64_t>();
      if (whole == nullptr || *whole < 0) refuse();
      return *whole;
    };
    for (const Value& each : *sizes) tensor.shape.push_back(number(each));
    const auto begin = static_cast<std::uint64_t>(number((*ends)[0]));
    const auto end = static_cast<std::uint64_t>(number((*ends)[1]));
    std::uint64_t count = 0;
    if (begin > end || end > room || !count_elements(tensor.shape, end - begin, count)) refuse();
    if (tensor.type != ForeignType::other && count * type_size(tensor.type) != end - begin)
      refuse();
    tensor.strides = dense_strides(tensor.shape);
    tensor.offset = data + begin;
    add(std::move(tensor));
  }

  void add(ForeignTensor tensor) {
    const std::string name = tensor.name;
    if (!out_.places_.emplace(name, out_.tensors_.size()).second) {
      fail(fmt::format("it has tensor {} twice", in_quotes(name)));
    }
    out_.tensors_.push_back(std::move(tensor));
  }

  ForeignFile& out_;
  std::map<std::string, Storage> storages_;
  std::size_t visits_ = 0;
};

ForeignFile::ForeignFile(const std::filesystem::path& path) : file_(path) {
  try {
    ForeignReader(*this).run();
  } catch (const Error& error) {
    throw Error(fmt::format("cannot import '{}': {}", path.string(), error.what()));
  }
}

}  // namespace sluice
