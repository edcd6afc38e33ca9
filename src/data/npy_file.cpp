#include "data/npy_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>
#include <string_view>

#include "base/error.h"
#include "base/files.h"
#include "data/data_set.h"

// The .npy file (NEP 1): "\x93NUMPY", version (2 bytes), header length (2 bytes in version 1, else 4), a Python
// dictionary {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } and the elements.
namespace pare {
namespace {

struct NpyType {
  std::string_view text;
  Type type;
};
constexpr NpyType npy_types[] = {
    {"<f4", Type::f32}, {"<f8", Type::f64}, {"<f2", Type::f16}, {"|u1", Type::u8},
    {"|i1", Type::i8},  {"<i2", Type::i16}, {"<u2", Type::u16}, {"<i4", Type::i32},
    {"<u4", Type::u32}, {"<i8", Type::i64}, {"<u8", Type::u64}, {"|b1", Type::boolean},
};

// Reads the header's dictionary: the few forms numpy writes, nothing else of Python.
class HeaderReader {
 public:
  HeaderReader(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  NpyFile read() {
    NpyFile file;
    bool descr = false, order = false, shape = false;
    expect('{');
    while (!take('}')) {
      const std::string key = string();
      expect(':');
      if (key == "descr")
        file.type = type(), descr = true;
      else if (key == "fortran_order")
        row_major(), order = true;
      else if (key == "shape")
        file.dims = tuple(), shape = true;
      else
        fail(fmt::format("unknown key '{}'", key));
      if (!take(',') && peek() != '}') fail("expected , or }");
    }
    if (!descr || !order || !shape) fail("expected the keys descr, fortran_order and shape");
    return file;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(where_, fmt::format("the .npy header is damaged at its byte {}: {}", at_, what),
                "save it again with numpy.save");
  }
  char peek() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(char c) {
    if (peek() != c || at_ >= text_.size()) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!take(c)) fail(fmt::format("expected {}", c));
  }
  bool take_word(std::string_view word) {
    peek();
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }
  std::string string() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') fail("expected a quoted word");
    const size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) fail("a quote is not closed");
    std::string result(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return result;
  }
  Type type() {
    if (peek() == '[') throw Error(where_, "records of several fields are not read", "save each field as its own .npy");
    const std::string text = string();
    for (const NpyType& row : npy_types)
      if (text == row.text ||
          (text.size() == 3 && (text[0] == '=' || row.text[0] == '|') && text.substr(1) == row.text.substr(1)))
        return row.type;
    if (text.starts_with('>'))
      throw Error(where_, fmt::format("big-endian elements ('{}') are not read", text),
                  fmt::format("numpy: x.astype('<{}')", text.substr(1)));
    if (text.find('O') != std::string::npos)
      throw Error(where_, "Python objects are not read", "numpy: give the array a numeric type, x.astype('float32')");
    throw Error(where_, fmt::format("elements of type '{}' are not read", text),
                "numpy: x.astype('float32') or another number type");
  }
  void row_major() {
    if (take_word("True"))
      throw Error(where_, "the elements lie in Fortran (column) order",
                  "numpy: np.save(path, np.ascontiguousarray(x))");
    if (!take_word("False")) fail("expected True or False");
  }
  int64_t integer() {
    peek();
    int64_t value = 0;
    const size_t start = at_;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_)
      if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, text_[at_] - '0', &value))
        fail("an extent is beyond 63 bits");
    if (at_ == start) fail("expected an extent");
    take('L');  // Python 2 wrote long integers so
    return value;
  }
  Dims tuple() {
    Dims dims;
    expect('(');
    while (!take(')')) {
      if (dims.size() == 32) fail("more than 32 axes");  // numpy's own limit until version 2
      dims.push_back(integer());
      if (!take(',') && peek() != ')') fail("expected , or )");
    }
    return dims;
  }

  std::string_view text_;
  const std::string& where_;
  size_t at_ = 0;
};

}  // namespace

NpyFile parse_npy(const Bytes& file, const std::string& where) {
  const auto* text = reinterpret_cast<const char*>(file.view.data());
  const size_t size = file.view.size();
  if (size < 10 || std::memcmp(text, "\x93NUMPY", 6) != 0)
    throw Error(where, "not an .npy file: it does not start with \\x93NUMPY", "write it with numpy.save");
  const int version = uint8_t(text[6]);
  if (version < 1 || version > 3)
    throw Error(where, fmt::format(".npy version {} is not known, expected 1 to 3", version));
  const size_t start = version == 1 ? 10 : 12;
  size_t header = uint8_t(text[8]) | size_t(uint8_t(text[9])) << 8;
  if (version > 1 && size >= 12) header |= size_t(uint8_t(text[10])) << 16 | size_t(uint8_t(text[11])) << 24;
  if (size < start || header > size - start)
    throw Error(where, fmt::format("a header of {} bytes in a file of {}: the file is cut short", header, size),
                "fetch the file again");
  NpyFile result = HeaderReader({text + start, header}, where).read();
  const uint64_t expected = uint64_t(count_of(result.dims, where)) * uint64_t(type_bits(result.type) / 8);
  result.data = {file.owner, file.view.subspan(start + header)};
  if (result.data.view.size() != expected)
    throw Error(where,
                fmt::format("{} {} need {} bytes, the file holds {}", dims_text(result.dims), type_text(result.type),
                            expected, result.data.view.size()),
                "the file is cut short or was written twice: save it again with numpy.save");
  return result;
}

std::pair<std::string, std::string> split_npz(const std::string& path) {
  const size_t colon = path.rfind(".npz:");
  if (colon == std::string::npos) return {path, ""};
  return {path.substr(0, colon + 4), path.substr(colon + 5)};
}

NpyFile open_npy(const std::string& path) {
  const auto [file, member] = split_npz(path);
  const Bytes bytes = map_bytes(file);
  if (!file.ends_with(".npz")) return parse_npy(bytes, path);
  const std::vector<ZipMember> members = list_zip(bytes, file);
  std::vector<std::string> names;
  for (const ZipMember& each : members) {
    names.push_back(each.name.ends_with(".npy") ? each.name.substr(0, each.name.size() - 4) : each.name);
    if (each.name == member || names.back() == member || (member.empty() && members.size() == 1))
      return parse_npy(read_zip_member(bytes, each, path), path);
  }
  throw Error(
      file,
      member.empty() ? "an archive of several arrays, one must be named"
                     : fmt::format("no array '{}' in the archive", member),
      fmt::format("it holds: {}; name one as {}:{}", fmt::join(names, ", "), file, names.empty() ? "name" : names[0]));
}

Array NpyFile::rows(int64_t first, int64_t count) const {
  Dims part = dims;
  PARE_CHECK(!part.empty() && first >= 0 && count >= 0 && first + count <= part[0]);
  const size_t row = part[0] == 0 ? 0 : data.view.size() / size_t(part[0]);
  part[0] = count;
  NpyFile slice{type, part, {data.owner, data.view.subspan(size_t(first) * row, size_t(count) * row)}};
  return slice.all();
}

Array NpyFile::all() const {
  Array array(type, dims);
  PARE_CHECK(array.size_bytes() == data.view.size());
  std::byte* out = array.mutable_bytes();
  if (array.size_bytes() > 0) std::memcpy(out, data.view.data(), array.size_bytes());
  if (type == Type::boolean)
    for (size_t i = 0; i < array.size_bytes(); ++i) out[i] = std::byte(out[i] != std::byte{0});
  return array;
}

Array read_npy(const std::string& path) {
  return open_npy(path).all();
}

void write_npy(const Array& array, const std::string& path) {
  std::string_view text;
  for (const NpyType& row : npy_types)
    if (row.type == array.type()) text = row.text;
  if (text.empty())
    throw Error(path, fmt::format("numpy has no type for {}", type_text(array.type())),
                "cast the array to float32 first");
  std::string shape;
  for (int64_t extent : array.dims()) shape += fmt::format("{}, ", extent);
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", text, shape);
  header.append(63 - (10 + header.size()) % 64, ' ');  // with the line's end the elements start at a multiple of 64
  header += '\n';
  write_file(path, [&](std::ostream& out) {
    const char start[10] = {'\x93', 'N', 'U', 'M', 'P', 'Y', 1, 0, char(header.size() & 255), char(header.size() >> 8)};
    out.write(start, sizeof(start));
    out << header;
    out.write(reinterpret_cast<const char*>(array.bytes()), std::streamsize(array.size_bytes()));
  });
}

}  // namespace pare
