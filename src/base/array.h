#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/small_float.h"
#include "base/types.h"

namespace pare {

using Dims = std::vector<int64_t>;

// Elements in `dims`; throws Error (where) on a negative extent or when the product leaves 62 bits.
int64_t count_of(const Dims& dims, const std::string& where = "shape");
std::string dims_text(const Dims& dims);  // "1x3x224x224", "scalar" for no dims

// A plain array: element type, extents (row major) and bytes. Copies share the bytes; the first write through
// mutable_values() makes them private. Below 8 bits elements are packed, the first in the low bits.
// Strings are stored as [uint32 length][bytes] one after the other.
class Array {
 public:
  Array() = default;
  Array(Type type, Dims dims);  // zeroed, 64-byte aligned
  // Bytes that `owner` keeps alive, for example a mapped file.
  Array(Type type, Dims dims, std::shared_ptr<const void> owner, const std::byte* bytes, size_t size);
  // Bytes of a mapped file, wherever they lie there: only bytes() of such an array may be read, see aligned().
  static Array in_file(Type type, Dims dims, std::shared_ptr<const void> file, const std::byte* bytes, size_t size);

  template <class T>
  static Array of(Dims dims, const std::vector<T>& values) {
    Array array(TypeOf<T>::value, std::move(dims));
    PARE_CHECK(array.count() == int64_t(values.size()));
    std::span<T> out = array.mutable_values<T>();
    for (size_t i = 0; i < values.size(); ++i) out[i] = values[i];
    return array;
  }
  template <class T>
  static Array scalar(T value) { return of<T>({}, {value}); }

  Type type() const { return type_; }
  const Dims& dims() const { return dims_; }
  int64_t dim(int axis) const { return dims_[axis < 0 ? axis + dims_.size() : axis]; }
  int rank() const { return int(dims_.size()); }
  int64_t count() const { return count_; }
  size_t size_bytes() const { return size_; }
  const std::byte* bytes() const { return bytes_; }
  std::byte* mutable_bytes();
  bool empty() const { return type_ == Type::none; }

  template <class T>
  std::span<const T> values() const {
    PARE_CHECK(TypeOf<T>::value == type_);
    return {reinterpret_cast<const T*>(bytes_), size_t(count_)};
  }
  template <class T>
  std::span<T> mutable_values() {
    PARE_CHECK(TypeOf<T>::value == type_);
    return {reinterpret_cast<T*>(mutable_bytes()), size_t(count_)};
  }

  // This array, or a private copy where it lies in a file and not as an allocation would: kernels want 64 bytes of
  // alignment, and 64 readable bytes behind. The file's pages are given back: they come again when they are read.
  Array aligned() const;
  // Memory that holds `count` bytes of a file from `from` on is free for others: who reads them again waits for the disk.
  void give_back(size_t from, size_t count) const;
  Array reshaped(Dims dims) const;             // the same bytes under other extents of the same count
  // Of as many runs of bytes as `from` has entries, which need not be an axis: run i of the result is run from[i].
  Array with_rows(std::span<const int64_t> from) const;
  Array cast(Type type, CastRule rule = {}) const;  // value by value, ONNX Cast semantics (see cast.cpp)
  std::vector<float> to_floats() const;        // any numeric type
  std::vector<int64_t> to_integers() const;    // integer types and bool
  bool same_as(const Array& other) const;      // type, dims and bytes

 private:
  Type type_ = Type::none;
  Dims dims_;
  int64_t count_ = 0;
  size_t size_ = 0;
  std::shared_ptr<const void> owner_;
  const std::byte* bytes_ = nullptr;
  bool mutable_ = false;  // we allocated the bytes ourselves
  bool in_file_ = false;  // at any address
};

}  // namespace pare
