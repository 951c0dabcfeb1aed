#include "decoder.hpp"

#include <bzlib.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <array>
#include <new>

#include "sluice/base/error.hpp"

namespace sluice {
namespace {

constexpr std::size_t most_at_once = std::size_t{1} << 30;

/// How far a library's stream came: it counts what is left of input and output.
struct Left {
  std::size_t in, out;
};

/// The pointers of zlib's, bzip2's and xz's streams are alike.
template <class Stream, class Byte>
Left offer(Stream& stream, std::string_view in, char* out, std::size_t room) {
  const Left left{std::min(in.size(), most_at_once), std::min(room, most_at_once)};
  stream.next_in = reinterpret_cast<Byte*>(const_cast<char*>(in.data()));
  stream.avail_in = static_cast<decltype(stream.avail_in)>(left.in);
  stream.next_out = reinterpret_cast<std::remove_const_t<Byte>*>(out);
  stream.avail_out = static_cast<decltype(stream.avail_out)>(left.out);
  return left;
}

class GzipDecoder final : public Decoder {
 public:
  GzipDecoder() {
    constexpr int gzip_only = 16;
    if (inflateInit2(&stream_, MAX_WBITS + gzip_only) != Z_OK) throw std::bad_alloc();
  }
  ~GzipDecoder() override { inflateEnd(&stream_); }
  GzipDecoder(const GzipDecoder&) = delete;
  GzipDecoder& operator=(const GzipDecoder&) = delete;

  std::size_t decode(std::string_view& in, bool /*last*/, char* out, std::size_t room) override {
    if (in.empty() && finished_) return 0;
    if (finished_) inflateReset(&stream_);
    finished_ = false;
    const Left had = offer<z_stream, Bytef>(stream_, in, out, room);
    const int status = inflate(&stream_, Z_NO_FLUSH);
    if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) {
      throw Error("its gzip data are damaged");
    }
    finished_ = status == Z_STREAM_END;
    in.remove_prefix(had.in - stream_.avail_in);
    return had.out - stream_.avail_out;
  }
  bool finished() const override { return finished_; }

 private:
  z_stream stream_{};
  bool finished_ = false;
};

class Bzip2Decoder final : public Decoder {
 public:
  Bzip2Decoder() { start(); }
  ~Bzip2Decoder() override { BZ2_bzDecompressEnd(&stream_); }
  Bzip2Decoder(const Bzip2Decoder&) = delete;
  Bzip2Decoder& operator=(const Bzip2Decoder&) = delete;

  std::size_t decode(std::string_view& in, bool /*last*/, char* out, std::size_t room) override {
    if (in.empty() && finished_) return 0;
    if (finished_) {
      BZ2_bzDecompressEnd(&stream_);
      start();
    }
    const Left had = offer<bz_stream, char>(stream_, in, out, room);
    const int status = BZ2_bzDecompress(&stream_);
    if (status != BZ_OK && status != BZ_STREAM_END) throw Error("its bzip2 data are damaged");
    finished_ = status == BZ_STREAM_END;
    in.remove_prefix(had.in - stream_.avail_in);
    return had.out - stream_.avail_out;
  }
  bool finished() const override { return finished_; }

 private:
  void start() {
    stream_ = {};
    finished_ = false;
    if (BZ2_bzDecompressInit(&stream_, 0, 0) != BZ_OK) throw std::bad_alloc();
  }
  bz_stream stream_{};
  bool finished_ = false;
};

class XzDecoder final : public Decoder {
 public:
  XzDecoder() {
    constexpr std::uint64_t most_memory = std::uint64_t{256} << 20U;
    if (lzma_stream_decoder(&stream_, most_memory, LZMA_CONCATENATED) != LZMA_OK) {
      throw std::bad_alloc();
    }
  }
  ~XzDecoder() override { lzma_end(&stream_); }
  XzDecoder(const XzDecoder&) = delete;
  XzDecoder& operator=(const XzDecoder&) = delete;

  std::size_t decode(std::string_view& in, bool last, char* out, std::size_t room) override {
    if (finished_) return 0;
    const Left had = offer<lzma_stream, const std::uint8_t>(stream_, in, out, room);
    const lzma_ret status = lzma_code(&stream_, last ? LZMA_FINISH : LZMA_RUN);
    if (status == LZMA_MEMLIMIT_ERROR) {
      throw Error(
          "its xz data need more than 256 MiB of memory to unpack; compress it again with "
          "xz -9 or less");
    }
    if (status != LZMA_OK && status != LZMA_STREAM_END && status != LZMA_BUF_ERROR) {
      throw Error("its xz data are damaged");
    }
    finished_ = status == LZMA_STREAM_END;
    in.remove_prefix(had.in - stream_.avail_in);
    return had.out - stream_.avail_out;
  }
  bool finished() const override { return finished_; }

 private:
  lzma_stream stream_ = LZMA_STREAM_INIT;
  bool finished_ = false;
};

class ZstdDecoder final : public Decoder {
 public:
  ZstdDecoder() : stream_(ZSTD_createDStream(), ZSTD_freeDStream) {
    if (!stream_) throw std::bad_alloc();
  }

  std::size_t decode(std::string_view& in, bool /*last*/, char* out, std::size_t room) override {
    if (in.empty() && finished_) return 0;
    ZSTD_inBuffer from{in.data(), in.size(), 0};
    ZSTD_outBuffer to{out, room, 0};
    const std::size_t status = ZSTD_decompressStream(stream_.get(), &to, &from);
    if (ZSTD_isError(status) != 0) {
      if (ZSTD_getErrorCode(status) == ZSTD_error_frameParameter_windowTooLarge) {
        throw Error(
            "its zstd data need more than 128 MiB of memory to unpack; compress it again "
            "without zstd's options long and ultra");
      }
      throw Error("its zstd data are damaged");
    }
    finished_ = status == 0;
    in.remove_prefix(from.pos);
    return to.pos;
  }
  bool finished() const override { return finished_; }

 private:
  std::unique_ptr<ZSTD_DStream, decltype(&ZSTD_freeDStream)> stream_;
  bool finished_ = false;
};

template <class D>
std::unique_ptr<Decoder> make() {
  return std::make_unique<D>();
}

/// What a compressed file begins with; 'N' in bzip2's stands for a digit.
struct Format {
  std::string_view start;
  std::unique_ptr<Decoder> (*decoder)();
};

constexpr std::array formats = {
    Format{{"\x1F\x8B\x08", 3}, make<GzipDecoder>},
    Format{"BZhN1AY&SY", make<Bzip2Decoder>},
    Format{"BZhN\x17\x72\x45\x38\x50\x90", make<Bzip2Decoder>},  // of an empty file
    Format{{"\xFD"
            "7zXZ\0",
            6},
           make<XzDecoder>},
    Format{"\x28\xB5\x2F\xFD", make<ZstdDecoder>},
};

/// Whether the first bytes of both are the same.
bool agree(std::string_view pattern, std::string_view start) {
  for (std::size_t i = 0; i < std::min(pattern.size(), start.size()); ++i) {
    const bool digit = pattern[i] == 'N' && start[i] >= '1' && start[i] <= '9';
    if (pattern[i] != start[i] && !digit) return false;
  }
  return true;
}

}  // namespace

bool may_be_compressed(std::string_view start) {
  return std::any_of(formats.begin(), formats.end(), [&](const Format& format) {
    return start.size() < format.start.size() && agree(format.start, start);
  });
}

std::unique_ptr<Decoder> decoder_for(std::string_view start) {
  for (const Format& format : formats) {
    if (start.size() >= format.start.size() && agree(format.start, start)) return format.decoder();
  }
  return nullptr;
}

}  // namespace sluice
