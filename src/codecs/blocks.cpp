// Tensors in ggml's blocks: one part, the bytes of all blocks, row by row. One codec a block format.
#include <algorithm>

#include "base/threads.h"
#include "codecs/block_rows.h"
#include "codecs/row_reader.h"

namespace pare {

namespace {

void check(const Codec& codec, const Dims& dims) {
  const int64_t row = dims.empty() ? 0 : dims.back();
  if (row > 0 && row % codec.blocks->elements == 0) return;
  throw Error(std::string("codec ") + codec.name, "rows of " + std::to_string(row) + " values do not divide into blocks of " + std::to_string(codec.blocks->elements),
              "store this tensor in a type of shorter blocks (q8_0, q5_0, q4_0) or float16");
}

constexpr int64_t kKeptFloats = 1 << 20;  // of a source that a thread has read, before the memory of its file is given back

// A tensor's rows as floats, a few at a time: whole matrices of floats are larger than what is made of them.
class RowSource {
 public:
  RowSource(const Tensor& tensor, int64_t rows, int64_t row) : row_(row) {
    if (tensor.type == Type::f32 && tensor.dims[0] == rows) reader_ = RowReader::of(tensor);
    if (!reader_) decoded_ = tensor.decode().cast(Type::f32);
  }
  void give_back(int64_t first, int64_t count) const {
    if (reader_) reader_->give_back(first, count);
  }
  void copy_rows(int64_t first, int64_t count, float* to) const {
    if (!reader_) std::copy_n(decoded_.values<float>().begin() + first * row_, count * row_, to);
    else for (int64_t r = 0; r < count; ++r) reader_->copy_row(first + r, reinterpret_cast<std::byte*>(to + r * row_));
  }

 private:
  int64_t row_;
  std::optional<RowReader> reader_;
  Array decoded_;
};

}  // namespace

std::string block_problem(const Tensor& tensor) {
  const BlockFormat& format = *tensor.codec->blocks;
  const int64_t row = tensor.dims.empty() ? 0 : tensor.dims.back();
  if (row % format.elements != 0) return "its rows do not divide into blocks of " + std::to_string(format.elements);
  const bool sound = tensor.parts.size() == 1 && tensor.type == Type::f32 && tensor.parts[0].type() == Type::u8 && !tensor.dims.empty() &&
                     int64_t(tensor.parts[0].size_bytes()) == tensor.count() / format.elements * format.bytes;
  return sound ? "" : "expected one part with " + std::to_string(format.bytes) + " bytes for every block";
}

Array decode_blocks(const Tensor& tensor) {
  check_tensor(tensor, "a weight");
  const BlockFormat& format = *tensor.codec->blocks;
  Array values(Type::f32, tensor.dims);
  const int64_t blocks = values.count() / format.elements;
  const auto* bytes = reinterpret_cast<const uint8_t*>(tensor.parts[0].bytes());
  float* out = values.mutable_values<float>().data();
  parallel_for(blocks, [&](int64_t first, int64_t last) {
    Block block;
    for (int64_t i = first; i < last; ++i) {
      format.unpack(bytes + i * format.bytes, block);
      block_values(format, block, out + i * format.elements);
    }
  });
  return values;
}

double block_bits(const Tensor& tensor) { return 8.0 * tensor.codec->blocks->bytes / tensor.codec->blocks->elements; }

// ONNX has no operator for these blocks: such a file holds the floats they stand for.
int unfold_blocks(Graph& graph, const Tensor& tensor, const std::string& name) { return graph.add_constant(name, Tensor(tensor.decode())); }

TensorPtr fold_blocks(const Graph&, const Node&) { return nullptr; }

const Codec* find_block_codec(uint32_t ggml_type) {
  for (const Codec* codec : codecs())
    if (codec->blocks != nullptr && codec->blocks->ggml_type == ggml_type) return codec;
  return nullptr;
}

Tensor block_tensor(const Codec& codec, Dims dims, Array bytes) {
  check(codec, dims);
  const BlockFormat& format = *codec.blocks;
  const int64_t wanted = count_of(dims) / format.elements * format.bytes;
  if (int64_t(bytes.size_bytes()) != wanted)
    throw Error(std::string("codec ") + codec.name, "holds " + std::to_string(bytes.size_bytes()) + " bytes, " + dims_text(dims) + " takes " + std::to_string(wanted));
  Tensor tensor;
  tensor.type = Type::f32;
  tensor.dims = std::move(dims);
  tensor.codec = &codec;
  tensor.axis = int(tensor.dims.size()) - 1;
  tensor.group = format.elements;
  tensor.parts = {std::move(bytes)};
  return tensor;
}

Tensor encode_blocks(const Codec& codec, const Tensor& values, std::span<const float> importance, ScaleSearch search) {
  check(codec, values.dims);
  const BlockFormat& format = *codec.blocks;
  const int64_t row = values.dims.back(), rows = values.count() / row, blocks = row / format.elements;
  PARE_CHECK(importance.empty() || int64_t(importance.size()) == row);
  Array packed(Type::u8, {rows * blocks * format.bytes});
  auto* to = reinterpret_cast<uint8_t*>(packed.mutable_bytes());
  const RowSource source(values, rows, row);
  parallel_for((rows + kLines - 1) / kLines, [&](int64_t first, int64_t last) {
    std::vector<float> floats(size_t(kLines * row));
    Block fitted[kLines];
    int64_t kept = first * kLines;   // rows from here on may still lie in memory
    for (int64_t gang = first; gang < last; ++gang) {
      const int64_t from = gang * kLines;
      if ((from - kept) * row > kKeptFloats) {
        source.give_back(kept, from - kept);
        kept = from;
      }
      const auto count = int(std::min<int64_t>(kLines, rows - from));
      source.copy_rows(from, count, floats.data());
      for (int64_t b = 0; b < blocks; ++b) {
        const int64_t at = b * format.elements;
        fit_blocks(format, floats.data() + at, row, count, importance.empty() ? nullptr : importance.data() + at, search, fitted);
        for (int r = 0; r < count; ++r) format.pack(fitted[r], to + ((from + r) * blocks + b) * format.bytes);
      }
    }
  });
  source.give_back(0, rows);
  return block_tensor(codec, values.dims, std::move(packed));
}

}  // namespace pare
