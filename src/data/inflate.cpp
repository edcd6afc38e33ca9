#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>

#include "base/error.h"
#include "base/files.h"
#include "data/bytes.h"

namespace pare {

Bytes map_bytes(const std::string& path) {
  auto file = MappedFile::open(path);
  return {file, file->bytes()};
}

struct Inflater::Stream {
  z_stream z{};
};

Inflater::Inflater(std::span<const std::byte> input, Wrapper wrapper, std::string where)
    : stream_(std::make_unique<Stream>()), input_(input), wrapper_(wrapper), where_(std::move(where)) {
  // 15: the largest window; +16 expects a gzip header, negative expects no header at all (zlib.h, inflateInit2).
  PARE_CHECK(inflateInit2(&stream_->z, wrapper == Wrapper::gzip ? 15 + 16 : -15) == Z_OK);
}

Inflater::~Inflater() {
  inflateEnd(&stream_->z);
}

// gzip files may be joined end to end; anything else behind the last one (zero padding) is not data.
bool Inflater::next_member() {
  if (wrapper_ == Wrapper::none || input_.size() - used_ < 2) return false;
  if (input_[used_] != std::byte{0x1f} || input_[used_ + 1] != std::byte{0x8b}) return false;
  return inflateReset(&stream_->z) == Z_OK;
}

size_t Inflater::read(std::span<std::byte> out) {
  constexpr size_t piece = size_t(1) << 30;  // zlib counts in 32 bits
  z_stream& z = stream_->z;
  size_t done = 0;
  while (done < out.size() && !ended_) {
    const size_t give = std::min(input_.size() - used_, piece), take = std::min(out.size() - done, piece);
    z.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(input_.data() + used_));
    z.avail_in = uInt(give);
    z.next_out = reinterpret_cast<Bytef*>(out.data() + done);
    z.avail_out = uInt(take);
    const int status = inflate(&z, Z_NO_FLUSH);
    used_ += give - z.avail_in;
    done += take - z.avail_out;
    if (status == Z_STREAM_END) {
      ended_ = !next_member();
    } else if (status != Z_OK) {
      throw Error(fmt::format("{} byte {}", where_, used_),
                  status == Z_BUF_ERROR ? "the compressed data ends too early"
                                        : fmt::format("the compressed data is damaged ({})", z.msg ? z.msg : "zlib"),
                  "fetch the file again");
    }
  }
  return done;
}

}  // namespace pare
