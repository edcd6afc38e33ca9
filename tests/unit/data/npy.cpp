#include "fixtures.h"

namespace pare {
namespace {

const std::vector<float> six = {1, 2, 3, 4, 5, 6};

template <class T>
void check_round_trip(const TemporaryFolder& folder, const std::vector<T>& values, const Dims& dims) {
  const Array array = Array::of<T>(dims, values);
  write_npy(array, folder / "x.npy");
  EXPECT_TRUE(read_npy(folder / "x.npy").same_as(array)) << type_text(array.type());
}

TEST(Npy, EveryTypeRoundTrips) {
  const TemporaryFolder folder;
  check_round_trip<float>(folder, {1.5f, -2, 0}, {3});
  check_round_trip<double>(folder, {1.5, -2}, {1, 2});
  check_round_trip<uint8_t>(folder, {1, 255}, {2, 1});
  check_round_trip<int8_t>(folder, {1, -128}, {2});
  check_round_trip<uint16_t>(folder, {1, 65535}, {2});
  check_round_trip<int16_t>(folder, {1, -300}, {2});
  check_round_trip<uint32_t>(folder, {1, 0xffffffff}, {2});
  check_round_trip<int32_t>(folder, {1, -70000}, {2});
  check_round_trip<uint64_t>(folder, {1, ~uint64_t(0)}, {2});
  check_round_trip<int64_t>(folder, {1, -5000000000}, {2});
  check_round_trip<float>(folder, {7}, {});
  check_round_trip<float>(folder, {}, {0, 3});
  Array half(Type::f16, {2});
  half.mutable_values<Half>()[1] = {0x3c00};
  write_npy(half, folder / "x.npy");
  EXPECT_TRUE(read_npy(folder / "x.npy").same_as(half));
  Array flags(Type::boolean, {2});
  flags.mutable_values<bool>()[1] = true;
  write_npy(flags, folder / "x.npy");
  EXPECT_TRUE(read_npy(folder / "x.npy").same_as(flags));
  EXPECT_EQ(file_size(folder / "x.npy") % 64, 2);  // the elements start at a multiple of 64
}

TEST(Npy, VersionsAndSpellings) {
  const TemporaryFolder folder;
  const Array expected = Array::of<float>({2, 3}, six);
  for (int version : {1, 2, 3})
    EXPECT_TRUE(read_npy(folder.write("x.npy", npy_bytes(npy_header("<f4", "(2, 3)"), bytes_of_values(six), version)))
                    .same_as(expected));
  for (const char* header : {"{'shape':(2L,3L),'fortran_order':False,'descr':'<f4'}",
                             "{\"descr\": \"=f4\", \"fortran_order\": False, \"shape\": (2, 3,)}"})
    EXPECT_TRUE(read_npy(folder.write("x.npy", npy_bytes(header, bytes_of_values(six)))).same_as(expected)) << header;
  // Any byte but 0 is true; as a C++ bool it must be 1.
  const Array flags =
      read_npy(folder.write("b.npy", npy_bytes(npy_header("|b1", "(3,)"), std::string("\x00\x07\x01", 3))));
  EXPECT_EQ(flags.to_integers(), (std::vector<int64_t>{0, 1, 1}));
}

TEST(Npy, BrokenFilesAreErrors) {
  const std::string data = bytes_of_values(six), good = npy_bytes(npy_header("<f4", "(2, 3)"), data);
  const std::pair<std::string, std::string> cases[] = {
      {"", "not an .npy file"},
      {"hello hello hello", "not an .npy file"},
      {good.substr(0, 9), "not an .npy file"},
      {good.substr(0, 40), "cut short"},
      {good.substr(0, good.size() - 1), "need 24 bytes, the file holds 23"},
      {good + "x", "need 24 bytes, the file holds 25"},
      {npy_bytes(npy_header("<f4", "(2, 3)"), data, 4), "version 4 is not known"},
      {npy_bytes(npy_header(">f4", "(2, 3)"), data), "x.astype('<f4')"},
      {npy_bytes(npy_header("|O", "(2, 3)"), data), "Python objects are not read"},
      {npy_bytes(npy_header("<U5", "(2, 3)"), data), "'<U5' are not read"},
      {npy_bytes(npy_header("<c8", "(3,)"), data), "'<c8' are not read"},
      {npy_bytes("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (6,)}", data), "several fields"},
      {npy_bytes("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3)}", data), "np.ascontiguousarray"},
      {npy_bytes("{'descr': '<f4', 'fortran_order': Maybe, 'shape': (2, 3)}", data), "expected True or False"},
      {npy_bytes("{'descr': '<f4', 'shape': (2, 3)}", data), "expected the keys"},
      {npy_bytes("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'x': 1}", data), "unknown key 'x'"},
      {npy_bytes(npy_header("<f4", "(2, -3)"), data), "expected an extent"},
      {npy_bytes(npy_header("<f4", "(99999999999999999999,)"), data), "beyond 63 bits"},
      {npy_bytes(npy_header("<f4", "(4294967296, 4294967296, 4294967296)"), data), "absurdly large"},
      {npy_bytes(npy_header("<f8", "(70368744177664,)"), data), "need 562949953421312 bytes"},
      {npy_bytes(npy_header("<f4", "(2, 3"), data), "the .npy header is damaged"},
      {npy_bytes("{'descr", data), "a quote is not closed"},
      {npy_bytes("", data), "expected {"},
  };
  const TemporaryFolder folder;
  for (const auto& [bytes, message] : cases) {
    const std::string text = error_of([&] { read_npy(folder.write("x.npy", bytes)); });
    expect_contains(text, message);
    expect_contains(text, "x.npy");
  }
  expect_contains(error_of([&] { read_npy(folder / "none.npy"); }), "none.npy");
  expect_contains(error_of([&] { write_npy(Array(Type::bf16, {2}), folder / "y.npy"); }), "bfloat16");
}

TEST(Npz, MembersStoredAndDeflated) {
  const TemporaryFolder folder;
  const std::string x = npy_bytes(npy_header("<f4", "(2, 3)"), bytes_of_values(six)),
                    y = npy_bytes(npy_header("<f4", "(6,)"), bytes_of_values(six));
  const std::string path = folder.write("a.npz", zip_bytes({{"x.npy", x}, {"y.npy", y, true}}));
  EXPECT_TRUE(read_npy(path + ":x").same_as(Array::of<float>({2, 3}, six)));
  EXPECT_TRUE(read_npy(path + ":y").same_as(Array::of<float>({6}, six)));
  EXPECT_TRUE(read_npy(path + ":y.npy").same_as(Array::of<float>({6}, six)));
  expect_contains(error_of([&] { read_npy(path + ":z"); }), "it holds: x, y");
  expect_contains(error_of([&] { read_npy(path); }), "one must be named");
  EXPECT_TRUE(read_npy(folder.write("one.npz", zip_bytes({{"x.npy", x}}))).same_as(Array::of<float>({2, 3}, six)));
}

TEST(Npz, BrokenArchivesAreErrors) {
  const std::string x = npy_bytes(npy_header("<f4", "(2, 3)"), bytes_of_values(six));
  const std::string stored = zip_bytes({{"x.npy", x}}), packed = zip_bytes({{"x.npy", x, true}});
  const auto change = [](std::string bytes, size_t at, const std::string& by) {
    return bytes.replace(at, by.size(), by);
  };
  const size_t record = stored.find("PK\x01\x02"), end = stored.find("PK\x05\x06"),
               packed_record = packed.find("PK\x01\x02");
  const size_t data = stored.find("\x93NUMPY");
  const std::pair<std::string, std::string> cases[] = {
      {"", "no end record"},
      {stored.substr(0, stored.size() - 1), "no end record"},
      {change(stored, end + 16, "\xff\xff\xff\x7f"), "outside the file"},
      {change(stored, end + 10, "\xff\xff"), "outside the file"},
      {change(stored, end + 16, std::string(1, '\x01')), "expected a record"},
      {change(stored, record + 42, "\xf0\xff\xff\x7f"), "outside the file"},
      {change(stored, record + 42, "\x01"), "expected the header of a zip member"},
      {change(stored, record + 20, "\xff\xff\x00\x00"), "outside the file"},
      {change(stored, record + 24, "\xff"), "two sizes differ"},
      {change(stored, record + 8, "\x01"), "encrypted"},
      {change(stored, record + 10, "\x0c"), "method 12"},
      {change(stored, data + x.size() - 1, "\x13"), "checksum"},
      {change(packed, packed_record + 24, "\xff\xff\xff\x7f"), "cannot hold the 2147483647 promised"},
      {change(packed, packed_record + 24, "\xff"), "does not hold the 255 bytes"},
      {change(packed, packed_record + 24, "\x01"), "does not hold the 1 bytes"},
      {change(packed, packed_record - 30, "\xff\xff\xff\xff\xff\xff"), "a.npz"},
      {change(packed, 30 + 5 + 20, "\xff"), "the compressed data is damaged"},
  };
  const TemporaryFolder folder;
  for (const auto& [bytes, message] : cases) {
    const std::string text = error_of([&] { read_npy(folder.write("a.npz", bytes) + ":x"); });
    expect_contains(text, message);
    expect_contains(text, "a.npz");
  }
}

}  // namespace
}  // namespace pare
