// Weights without their zeros. Gaps say where the rest belongs, row major: g < 255 skips g zeros and takes the next
// value, 255 skips 255 zeros and takes none; zeros behind the last value are not said (Han, Mao, Dally, "Deep
// Compression", section 2, with a byte a gap). Nothing is rounded: sparse gives back every bit, −0 too, and sparse-int8
// what int8 gives.
#include <fmt/format.h>

#include <cstring>

#include "codecs/codecs.h"

namespace pare {
namespace {

constexpr int64_t kSkip = 255;

int64_t width_of(const Tensor& tensor) { return type_bits(tensor.parts[0].type()) / 8; }

bool is_zero(const std::byte* element, int64_t width) {
  for (int64_t k = 0; k < width; ++k)
    if (element[k] != std::byte(0)) return false;
  return true;
}

// Calls take(place) for each stored value in order; stops at the first that lies outside, with false.
template <class Take>
bool each_place(const Array& gaps, int64_t count, const Take& take) {
  int64_t at = 0;
  for (uint8_t gap : gaps.values<uint8_t>()) {
    at += gap;
    if (gap == kSkip) continue;
    if (at >= count) return false;
    take(at++);
  }
  return at <= count;
}

// The elements of part 0 at their places among zeros.
Array scatter(const Tensor& tensor) {
  const int64_t width = width_of(tensor);
  Array dense(tensor.parts[0].type(), tensor.dims);
  std::byte* out = dense.mutable_bytes();
  const std::byte* next = tensor.parts[0].bytes();
  each_place(tensor.parts[1], dense.count(), [&](int64_t at) {
    std::memcpy(out + at * width, next, size_t(width));
    next += width;
  });
  return dense;
}

// The reverse: {values, gaps}.
std::vector<Array> gather(const Array& dense) {
  const int64_t width = type_bits(dense.type()) / 8;
  std::vector<int64_t> places;
  std::vector<uint8_t> gaps;
  int64_t gap = 0;
  for (int64_t i = 0; i < dense.count(); ++i, ++gap) {
    if (is_zero(dense.bytes() + i * width, width)) continue;
    gaps.insert(gaps.end(), size_t(gap / kSkip), uint8_t(kSkip));
    gaps.push_back(uint8_t(gap % kSkip));
    places.push_back(i);
    gap = -1;
  }
  Array values(dense.type(), {int64_t(places.size())});
  std::byte* out = values.mutable_bytes();
  for (size_t i = 0; i < places.size(); ++i) std::memcpy(out + int64_t(i) * width, dense.bytes() + places[i] * width, size_t(width));
  return {values, Array::of<uint8_t>({int64_t(gaps.size())}, gaps)};
}

std::string places_problem(const Tensor& tensor, Type type) {
  const Array &values = tensor.parts[0], &gaps = tensor.parts[1];
  const int64_t width = type_bits(type) / 8, count = count_of(tensor.dims);
  if (values.type() != type || values.rank() != 1 || gaps.type() != Type::u8 || gaps.rank() != 1 || width == 0)
    return fmt::format("its values are {} {} and its gaps {} {}, expected one row of {} and one of uint8", dims_text(values.dims()), type_text(values.type()),
                       dims_text(gaps.dims()), type_text(gaps.type()), type_text(type));
  // A few stored bytes may not make us allocate gigabytes; no real layer is sparser than one in a thousand.
  if (count > std::max<int64_t>(int64_t(16) << 20, 1000 * width * values.count()) / width)
    return fmt::format("{} stored values of {} are absurdly few", values.count(), count);
  int64_t taken = 0;
  if (!each_place(gaps, count, [&](int64_t) { ++taken; })) return "its gaps reach behind its last element";
  return taken == values.count() ? "" : fmt::format("its gaps place {} values, it has {}", taken, values.count());
}

double bits(const Tensor& tensor) { return tensor.count() == 0 ? 0 : 8.0 * double(tensor.size_bytes()) / double(tensor.count()); }

Array decode_plain(const Tensor& tensor) {
  check_tensor(tensor, "a weight");
  return scatter(tensor);
}

Array decode_int8(const Tensor& tensor) {
  check_tensor(tensor, "a weight");
  return dense_tensor(tensor).decode();
}

Tensor encode_plain(const Array& values, int, int64_t) { return sparse_tensor(Tensor(values)); }
Tensor encode_int8(const Array& values, int axis, int64_t group) { return sparse_tensor(codec_int8.encode(values, axis, group)); }

// No node computes a sparse tensor: a file with a place for them has them as they are.
TensorPtr fold_nothing(const Graph&, const Node&) { return nullptr; }

int unfold_int8(Graph& graph, const Tensor& tensor, const std::string& name) {
  Tensor values;
  values.type = Type::i8;
  values.dims = tensor.dims;
  values.codec = &codec_sparse;
  values.parts = {tensor.parts[0], tensor.parts[1]};
  const ValueId result = codec_int8.unfold(graph, dense_tensor(tensor), name);
  graph.at(graph.nodes.back().inputs[0]).constant = std::make_shared<const Tensor>(std::move(values));
  return result;
}

TensorPtr fold_int8(const Graph& graph, const Node& node) {
  const Tensor* values = node.is("DequantizeLinear") ? graph.constant(node.input(0)) : nullptr;
  if (values == nullptr || values->codec != &codec_sparse || values->type != Type::i8) return nullptr;
  Graph dense;  // the same node with its values written out
  Node twin = node;
  for (ValueId& id : twin.inputs) {
    if (id == kNone) continue;
    if (graph.constant(id) == nullptr) return nullptr;
    id = dense.add_constant("c", dense_tensor(*graph.constant(id)));
  }
  const TensorPtr folded = codec_int8.fold(dense, twin);
  return folded == nullptr || folded->parts.size() > 2 ? nullptr : std::make_shared<const Tensor>(sparse_tensor(*folded));
}

}  // namespace

std::string problem_sparse(const Tensor& tensor) {
  return tensor.parts.size() == 2 ? places_problem(tensor, tensor.type) : fmt::format("it has {} parts, expected values and gaps", tensor.parts.size());
}

std::string problem_sparse_int8(const Tensor& tensor) {
  if (tensor.parts.size() != 3) return fmt::format("it has {} parts, expected values, gaps and scales", tensor.parts.size());
  if (const std::string problem = places_problem(tensor, Type::i8); !problem.empty()) return problem;
  Tensor outline = tensor;  // the scales' rules are int8's
  outline.codec = &codec_int8;
  outline.parts = {Array(Type::i8, tensor.dims), tensor.parts[2]};
  return problem_int8(outline);
}

Tensor dense_tensor(const Tensor& tensor) {
  if (tensor.codec == &codec_sparse) return Tensor(scatter(tensor));
  if (tensor.codec == &codec_sparse_int8) return affine_tensor(scatter(tensor), tensor.parts[2], Array(), tensor.axis, tensor.group);
  return tensor;
}

Tensor sparse_tensor(const Tensor& tensor) {
  const bool int8 = tensor.codec == &codec_int8 && tensor.parts.size() == 2;
  if (!int8 && (!tensor.plain() || type_bits(tensor.type) < 8)) return tensor;
  Tensor sparse = tensor;
  sparse.codec = int8 ? &codec_sparse_int8 : &codec_sparse;
  sparse.parts = gather(tensor.parts[0].aligned());
  if (int8) sparse.parts.push_back(tensor.parts[1]);
  return sparse;
}

const Codec codec_sparse{"sparse", "weights without their zeros", "values [32 bit] x nonzero | gaps [8 bit: zeros before the next value; 255: 255 zeros and no value]",
                         "none", decode_plain, encode_plain, bits, nullptr, fold_nothing};
const Codec codec_sparse_int8{"sparse-int8", "8-bit integers without their zeros, scale per channel",
                              "values [int8] x nonzero | gaps [8 bit: zeros before the next value; 255: 255 zeros and no value] | scale [float32] x scales",
                              "axis: the axis scales run along (-1: one scale); group: elements that share a scale", decode_int8, encode_int8, bits, unfold_int8,
                              fold_int8};

}  // namespace pare
