#include "catalog_page.h"
#include "kernels/conv_int8/conv_int8.h"
#include "kernels/depthwise_int8/depthwise_int8.h"
#include "kernels/elementwise_int8/elementwise_int8.h"
#include "kernels/float_attention/float_attention.h"
#include "kernels/float_depthwise/float_depthwise.h"
#include "kernels/float_few_outputs/float_few_outputs.h"
#include "kernels/float_linear/float_linear.h"
#include "kernels/float_products/float_products.h"
#include "kernels/float_rows/float_rows.h"
#include "kernels/float_winograd/float_winograd.h"
#include "kernels/int8_winograd/int8_winograd.h"
#include "kernels/low_bit/low_bit.h"
#include "kernels/scale_search/scale_search.h"
#include "kernels/sparse_float/sparse_float.h"
#include "kernels/sparse_int8/sparse_int8.h"

namespace pare {
namespace {

CatalogPage page() {
  CatalogPage page{
      "Kernels",
      "Loops of our own, best first; dense float layers run in oneDNN. Written by `pare kernels --markdown`.",
      {}};
  const auto add = [&page](const auto& rows, const char* summary) {
    bool best = true;
    for (const auto& row : rows) {
      const bool runs = row.supported();
      page.entries.push_back({row.name,
                              summary,
                              {{"instruction set", row.isa}},
                              {},
                              "",
                              !runs  ? "not on this CPU"
                              : best ? "used here"
                                     : ""});
      if (runs) best = false;
    }
  };
  add(conv_int8_kernels(), "8-bit convolution and linear layers");
  add(winograd_int8_kernels(), "3x3 convolutions in 8 bits by fewer multiplications, to the same bits");
  add(sparse_int8_kernels(), "8-bit convolution and linear layers of pruned weights");
  add(depthwise_int8_kernels(), "8-bit depthwise convolution");
  add(elementwise_int8_kernels(), "8-bit sums, products, pooling, moves, tables, interpolation, quantize and dequantize");
  add(few_outputs_kernels(), "convolutions in floats to at most four outputs");
  add(float_attention_kernels(), "attention of a block of rows of one head");
  add(float_depthwise_kernels(), "depthwise convolutions in floats, with what follows them");
  add(float_linear_kernels(), "linear layers and 1x1 convolutions in floats, with what follows them");
  add(float_products_kernels(), "products of matrices, for solvers");
  add(low_bit_kernels(), "linear layers with weights of 2 to 8 bits in groups");
  add(scale_search_kernels(), "scales and levels of weights in few bits, for codecs");
  add(sparse_float_kernels(), "float layers without the products with zeros");
  add(winograd_kernels(), "3x3 convolutions in floats by fewer multiplications: to the points of squares and back");
  add(float_rows_kernels(), "softmax and normalization of rows of floats");
  return page;
}

std::function<int()> declare(CLI::App& app, const Shared& shared) {
  return declare_catalog(app, shared, page);
}

}  // namespace

extern const Command command_kernels;
const Command command_kernels = {"kernels", "Kernels, and which of them this CPU runs.", "pare kernels",
                                 declare};

}  // namespace pare
