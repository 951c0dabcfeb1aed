// The file of an n-gram model that is mapped into memory.
#include <fmt/format.h>

#include <cmath>
#include <cstring>

#include "ngram_image.hpp"
#include "sluice/base/error.hpp"

namespace sluice {
namespace {

constexpr std::size_t part_alignment = 64;

std::size_t aligned(std::size_t size) {
  return (size + part_alignment - 1) / part_alignment * part_alignment;
}

template <class T>
std::string_view bytes_of(std::span<const T> part) {
  return {reinterpret_cast<const char*>(part.data()), part.size_bytes()};
}

/// The parts in the order of the file.
std::array<std::string_view, 5> parts_in_order(const NgramModel::Image& image) {
  return {bytes_of(image.last_word), bytes_of(image.entries), bytes_of(image.contexts),
          bytes_of(image.name_begin), image.names};
}

/// Takes parts off a file, one after another.
class PartReader {
 public:
  explicit PartReader(std::string_view bytes) : bytes_(bytes) {}

  template <class T>
  std::span<const T> take(std::uint64_t count) {
    if (count > bytes_.size() / sizeof(T)) throw Error("it is truncated");
    const std::size_t size = static_cast<std::size_t>(count) * sizeof(T);
    const std::span<const T> part(reinterpret_cast<const T*>(bytes_.data()),
                                  static_cast<std::size_t>(count));
    bytes_.remove_prefix(std::min(aligned(size), bytes_.size()));
    return part;
  }

 private:
  std::string_view bytes_;
};

/// The checksum of a file: of the header, in which that of the rest stands for it.
std::uint64_t checksum_of(NgramModel::Image::Header header, std::string_view body) {
  header.checksum = checksum(body.data(), body.size());
  return checksum(&header, sizeof header);
}

/// What every use relies on, whoever wrote the file.
void check_image(const NgramModel::Image& image) {
  const auto& header = image.header;
  bool sound = header.order >= 1 && header.order <= NgramModel::Image::most_order &&
               header.words >= 1 && header.words < header.nodes && header.inner <= header.nodes &&
               header.nodes <= UINT32_MAX && header.begin < header.words &&
               header.end < header.words && header.unknown < header.words && header.inner >= 1 &&
               header.begin != header.end && header.begin != header.unknown &&
               header.end != header.unknown;
  for (std::size_t w = 0; sound && w < header.words; ++w) {
    sound = image.name_begin[w] <= image.name_begin[w + 1] && image.last_word[w + 1] == w;
  }
  sound = sound && image.name_begin.back() == image.names.size();
  for (std::size_t n = 0; sound && n < header.nodes; ++n) {
    const float log10 = image.entries[n].log10;
    sound = image.entries[n].next < header.inner && image.last_word[n] < header.words &&
            std::isfinite(log10) && log10 <= 0;
  }
  for (std::size_t n = 0; sound && n < header.inner; ++n) {
    const auto& context = image.contexts[n];
    sound = (n == 0 || context.shorter < n) &&
            context.first_child <= image.contexts[n + 1].first_child &&
            image.contexts[n + 1].first_child <= header.nodes && std::isfinite(context.backoff);
  }
  if (!sound) throw Error("it is damaged");
}

}  // namespace

std::unique_ptr<const NgramModel::Image> NgramModel::Image::of(Parts parts, Header header) {
  auto image = std::make_unique<Image>();
  header.nodes = parts.last_word.size();
  header.inner = parts.contexts.size() - 1;
  header.words = parts.name_begin.size() - 1;
  header.name_bytes = parts.names.size();
  image->header = header;
  image->parts = std::move(parts);
  image->last_word = image->parts.last_word;
  image->entries = image->parts.entries;
  image->contexts = image->parts.contexts;
  image->name_begin = image->parts.name_begin;
  image->names = image->parts.names;
  return image;
}

std::unique_ptr<const NgramModel::Image> NgramModel::Image::of(MappedFile mapped) {
  auto image = std::make_unique<Image>();
  image->file = std::make_unique<const MappedFile>(std::move(mapped));
  const std::string_view bytes = image->file->text();
  try {
    Header& header = image->header;
    if (bytes.size() < sizeof(Header)) throw Error("it is truncated");
    std::memcpy(&header, bytes.data(), sizeof(Header));
    if (header.version != Header{}.version) throw Error("it was written by another version");
    PartReader reader(bytes.substr(sizeof(Header)));
    image->last_word = reader.take<std::uint32_t>(header.nodes);
    image->entries = reader.take<Entry>(header.nodes);
    image->contexts = reader.take<Context>(header.inner + 1);
    image->name_begin = reader.take<std::uint64_t>(header.words + 1);
    const auto names = reader.take<char>(header.name_bytes);
    image->names = {names.data(), names.size()};
    if (checksum_of(header, bytes.substr(sizeof(Header))) != header.checksum) {
      throw Error("its checksum does not match, so it is damaged");
    }
    check_image(*image);
  } catch (const Error& error) {
    throw Error(fmt::format("cannot read the n-gram model '{}': {}; make it again of its ARPA file",
                            image->file->path().string(), error.what()));
  }
  return image;
}

bool NgramModel::is_mapped_form(const std::filesystem::path& path) {
  const MappedFile file(path);
  const auto& magic = Image::Header{}.magic;
  return file.text().starts_with(std::string_view(magic.data(), magic.size()));
}

std::shared_ptr<const NgramModel> NgramModel::map(const std::filesystem::path& path) {
  if (!is_mapped_form(path)) {
    throw Error(
        fmt::format("cannot read the n-gram model '{}': it is of another kind", path.string()));
  }
  return std::make_shared<const NgramModel>(Image::of(MappedFile(path)));
}

std::shared_ptr<const NgramModel> NgramModel::open(const std::filesystem::path& path) {
  return is_mapped_form(path) ? map(path) : read_arpa(path);
}

void NgramModel::save(const std::filesystem::path& path) const {
  AtomicFile file(path);
  Image::Header header = image_->header;
  const auto header_bytes = [&] {
    return std::string_view(reinterpret_cast<const char*>(&header), sizeof(header));
  };
  file.write(header_bytes());
  std::string body;
  for (const std::string_view part : parts_in_order(*image_)) {
    body.append(part);
    body.resize(aligned(body.size()));
  }
  file.write(body);
  header.checksum = checksum_of(header, body);
  file.overwrite(0, header_bytes());
  file.commit();
}

}  // namespace sluice
