// What changed in the operators of ai.onnx, one row a change, oldest first. Changes that only allow more types or say
// more clearly what was meant have no row.
#include <algorithm>
#include <cmath>

#include "formats/onnx/upgrade.h"

namespace pare {
namespace {

Array integers(const std::vector<int64_t>& values) { return Array::of<int64_t>({int64_t(values.size())}, values); }

// Attribute → input number `position`; nothing where the attribute is absent.
void attribute_to_input(NodeUpgrade& u, const char* key, size_t position) {
  if (auto values = u.take<std::vector<int64_t>>(key)) u.set_input(position, u.constant(key, integers(*values)));
}

// A number that must have the type of the node's first input.
ValueId number(NodeUpgrade& u, const char* what, float value) {
  const Type type = u.type(u.node().input(0));
  return u.constant(what, Array::scalar(value).cast(is_float(type) || is_integer(type) ? type : Type::f32));
}

void drop_consumed_inputs(NodeUpgrade& u) { u.node().attributes.erase("consumed_inputs"); }

void concat_4(NodeUpgrade& u) {
  if (!u.node().has("axis")) u.node().attributes["axis"] = int64_t(1);
}

void reshape_5(NodeUpgrade& u) { attribute_to_input(u, "shape", 1); }

void cast_6(NodeUpgrade& u) {
  if (!u.node().has("to") || !std::holds_alternative<std::string>(u.node().attributes["to"])) return;
  std::string text = *u.take<std::string>("to");
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return char(std::tolower(c)); });
  if (text == "float") text = "float32";
  if (text == "double") text = "float64";
  const auto type = type_of_text(text);
  if (!type) u.fail("casts to '" + text + "', which is no element type");
  u.node().attributes["to"] = int64_t(*type);
}

void tile_6(NodeUpgrade& u) { u.fail("is of the first version of Tile, which pare does not translate"); }

// Input `position`, whose dims stand at `axis` of `rank` dims, gets extents of 1 behind them: numpy's rule lines up the ends.
void line_up(NodeUpgrade& u, size_t position, int64_t axis, int64_t rank) {
  const ValueId id = u.node().input(position);
  const Shape* own = u.shape(id);
  if (own == nullptr) u.fail("broadcasts '" + u.graph().at(id).name + "', whose rank is not known");
  const int64_t behind = rank - axis - int64_t(own->size());
  if (behind < 0) u.fail("broadcasts with an axis that does not fit its inputs");
  if (behind == 0) return;
  std::vector<int64_t> axes;
  for (int64_t k = 0; k < behind; ++k) axes.push_back(int64_t(own->size()) + k);
  const Tensor* constant = u.graph().constant(id);
  if (constant != nullptr && constant->plain()) {
    Dims dims = constant->dims;
    dims.insert(dims.end(), size_t(behind), 1);
    u.set_input(position, u.constant("aligned", constant->array().reshaped(dims)));
  } else {
    u.set_input(position, u.before("Unsqueeze", {id, u.constant("axes", integers(axes))}, "aligned"));
  }
}

void broadcast_7(NodeUpgrade& u) {
  u.take<int64_t>("broadcast");
  const auto axis = u.take<int64_t>("axis");
  const Shape* second = u.shape(u.node().input(1));
  const bool scalar = second != nullptr && std::all_of(second->begin(), second->end(), [](const Dim& d) { return d.value == 1; });
  if (!axis || scalar) return;
  const Shape* first = u.shape(u.node().input(0));
  if (first == nullptr) u.fail("broadcasts along axis " + std::to_string(*axis) + " of an input whose rank is not known");
  const int64_t rank = int64_t(first->size());
  line_up(u, 1, *axis < 0 ? *axis + rank : *axis, rank);
}

void gemm_7(NodeUpgrade& u) { u.take<int64_t>("broadcast"); }

void prelu_7(NodeUpgrade& u) {
  const Shape* slope = u.shape(u.node().input(1));
  if (slope == nullptr) u.fail("has a slope whose rank is not known");
  if (slope->size() != 1 || (*slope)[0].value == 1) return;
  const Shape* data = u.shape(u.node().input(0));
  if (data == nullptr) u.fail("has a slope per channel of an input whose rank is not known");
  if (data->size() > 1) line_up(u, 1, 1, int64_t(data->size()));
}

void inference_only(NodeUpgrade& u) { u.take<int64_t>("is_test"); }
void recurrent_7(NodeUpgrade& u) { u.take<int64_t>("output_sequence"); }

void upsample_7(NodeUpgrade& u) {
  const auto height = u.take<float>("height_scale"), width = u.take<float>("width_scale");
  if (height && width) u.node().attributes["scales"] = std::vector<float>{1, 1, *height, *width};
  if (u.node().text("mode") == "bilinear") u.node().attributes["mode"] = std::string("linear");
}

void batch_normalization_9(NodeUpgrade& u) {
  if (u.take<int64_t>("spatial").value_or(1) == 0) u.fail("normalizes each place by itself (spatial = 0), which newer operator sets cannot say");
}

void upsample_9(NodeUpgrade& u) {
  if (auto scales = u.take<std::vector<float>>("scales"))
    u.set_input(1, u.constant("scales", Array::of<float>({int64_t(scales->size())}, *scales)));
}

// Scan 8 had lengths, and a batch as the first axis of everything: a Scan over the batch around a Scan over the sequence.
void scan_9(NodeUpgrade& u) {
  Node& node = u.node();
  if (node.input(0) != kNone) u.fail("has sequences of different lengths, which newer operator sets cannot say");
  if (!node.inputs.empty()) node.inputs.erase(node.inputs.begin());
  Node inner = node;
  if (auto directions = u.take<std::vector<int64_t>>("directions")) {
    inner.attributes.erase("directions");
    inner.attributes["scan_input_directions"] = *directions;
  }
  auto batch = std::make_shared<Graph>();
  batch->name = "batch";
  batch->opsets = u.graph().opsets;
  auto values = [&](const char* prefix, size_t count) {
    std::vector<ValueId> ids;
    for (size_t i = 0; i < count; ++i) ids.push_back(batch->add_value(u.graph().unique_name(prefix + std::to_string(i))));
    return ids;
  };
  batch->inputs = inner.inputs = values("batch_in_", node.inputs.size());
  batch->outputs = inner.outputs = values("batch_out_", node.outputs.size());
  batch->nodes.push_back(std::move(inner));
  node.attributes["num_scan_inputs"] = int64_t(node.inputs.size());
  node.attributes["body"] = std::move(batch);
}

void upsample_10(NodeUpgrade& u) { u.rename("Resize"); }

// The exponent was a float.
void lp_pool_2(NodeUpgrade& u) {
  if (!u.node().has("p") || !std::holds_alternative<float>(u.node().attributes["p"])) return;
  const float p = *u.take<float>("p");
  if (p != std::floor(p) || p < 1 || p > 1e6f) u.fail("pools with p = " + std::to_string(p) + ", which newer operator sets cannot say");
  u.node().attributes["p"] = int64_t(p);
}

// Each sample by itself, over space or over channels too.
void mean_variance_9(NodeUpgrade& u) {
  if (u.take<int64_t>("normalize_variance").value_or(1) == 0) u.fail("leaves the variance as it is, which newer operator sets cannot say");
  const bool across = u.take<int64_t>("across_channels").value_or(0) != 0;
  u.node().attributes["axes"] = across ? std::vector<int64_t>{1, 2, 3} : std::vector<int64_t>{2, 3};
}

void slice_10(NodeUpgrade& u) {
  attribute_to_input(u, "starts", 1);
  attribute_to_input(u, "ends", 2);
  attribute_to_input(u, "axes", 3);
}

void top_k_10(NodeUpgrade& u) {
  if (auto k = u.take<int64_t>("k")) u.set_input(1, u.constant("k", integers({*k})));
}

// Resize 10 had (X, scales), took places without an offset and, as ONNX Runtime does it, rounded down when it made the
// picture larger and up when it made it smaller.
void resize_11(NodeUpgrade& u) {
  const ValueId scales = u.node().input(1);
  bool smaller = false;
  if (const Tensor* tensor = u.graph().constant(scales); tensor != nullptr && tensor->type == Type::f32)
    for (float scale : tensor->decode().to_floats()) smaller |= scale < 1;
  u.node().inputs = {u.node().input(0), kNone, scales};
  u.node().attributes["coordinate_transformation_mode"] = std::string("asymmetric");
  if (u.node().text("mode", "nearest") == "nearest")
    u.node().attributes["nearest_mode"] = std::string(smaller ? "ceil" : "floor");
}

void clip_11(NodeUpgrade& u) {
  const auto least = u.take<float>("min"), most = u.take<float>("max");
  if (least) u.set_input(1, number(u, "min", *least));
  if (most) u.set_input(2, number(u, "max", *most));
}

void pad_11(NodeUpgrade& u) {
  attribute_to_input(u, "paddings", 1);  // its name in the first version
  attribute_to_input(u, "pads", 1);
  if (const float value = u.take<float>("value").value_or(0); value != 0) u.set_input(2, number(u, "value", value));
}

void scatter_11(NodeUpgrade& u) { u.rename("ScatterElements"); }

// Outside of training the ratio has no effect, and as an input it would cost bytes.
void dropout_12(NodeUpgrade& u) { u.take<float>("ratio"); }

void axes_13(NodeUpgrade& u) { attribute_to_input(u, "axes", 1); }
void split_13(NodeUpgrade& u) { attribute_to_input(u, "split", 1); }

// "tf_half_pixel_for_nn" is floor((x + ½)·s), which "half_pixel" gives when it rounds halves up.
void resize_13(NodeUpgrade& u) {
  if (u.node().text("coordinate_transformation_mode") != "tf_half_pixel_for_nn") return;
  if (u.node().text("mode", "nearest") != "nearest" || u.node().text("nearest_mode", "round_prefer_floor") != "floor")
    u.fail("uses coordinate_transformation_mode tf_half_pixel_for_nn in a way newer operator sets cannot say");
  u.node().attributes["coordinate_transformation_mode"] = std::string("half_pixel");
  u.node().attributes["nearest_mode"] = std::string("round_prefer_ceil");
}

// Below 13 the dims from `axis` (default 1) on were one: the same only where at most one of them is not 1.
void softmax_13(NodeUpgrade& u) {
  const int64_t given = u.take<int64_t>("axis").value_or(1);
  const ValueId input = u.node().input(0), output = u.node().outputs.at(0);
  const Shape* shape = u.shape(input);
  if (shape != nullptr) {
    const int64_t rank = int64_t(shape->size()), axis = given < 0 ? given + rank : given;
    bool alone = axis >= 0 && axis < rank;
    for (int64_t k = axis + 1; alone && k < rank; ++k) alone = (*shape)[size_t(k)].value == 1;
    if (alone) {
      u.node().attributes["axis"] = axis;
      return;
    }
  }
  const auto dims = shape != nullptr ? known_dims(*shape) : std::nullopt;
  const ValueId extents = dims ? u.constant("shape", integers(*dims)) : u.before("Shape", {input}, "shape");
  const ValueId flat = u.before("Flatten", {input}, "flat");
  u.graph().nodes.back().attributes["axis"] = given;
  const ValueId result = u.graph().add_value(u.graph().unique_name(u.graph().at(output).name + "_rows"));
  u.set_input(0, flat);
  u.node().outputs[0] = result;
  u.node().attributes["axis"] = int64_t(-1);
  Graph maker;  // only for the look-up of the operator
  u.after().push_back(maker.add_node("Reshape", {result, extents}, {output}));
}

// Running mean and variance are results of training only; nobody may read them here.
void batch_normalization_14(NodeUpgrade& u) { u.node().outputs.resize(1); }

void roi_align_16(NodeUpgrade& u) {
  if (!u.node().has("coordinate_transformation_mode"))
    u.node().attributes["coordinate_transformation_mode"] = std::string("output_half_pixel");
}

void split_18(NodeUpgrade& u) {
  if (u.node().input(1) == kNone) u.node().attributes["num_outputs"] = int64_t(u.node().outputs.size());
}

void grid_sample_20(NodeUpgrade& u) {
  const std::string mode = u.node().text("mode", "bilinear");
  u.node().attributes["mode"] = mode == "bilinear" ? std::string("linear") : mode == "bicubic" ? std::string("cubic") : mode;
}

void dft_20(NodeUpgrade& u) {
  u.set_input(2, u.constant("axis", Array::scalar<int64_t>(u.take<int64_t>("axis").value_or(1))));
}

void group_normalization_21(NodeUpgrade& u) { u.fail("has one scale per group, newer operator sets have one per channel"); }

}  // namespace

const std::vector<UpgradeRow> kUpgradesTo10 = {
    {"LpPool", 2, lp_pool_2},
    {"GlobalLpPool", 2, lp_pool_2},
    {"Concat", 4, concat_4},
    {"Reshape", 5, reshape_5},
    {nullptr, 7, drop_consumed_inputs},  // gone since 6; exporters kept writing it
    {"Cast", 6, cast_6},
    {"Tile", 6, tile_6},
    {"Add", 7, broadcast_7},
    {"Sub", 7, broadcast_7},
    {"Mul", 7, broadcast_7},
    {"Div", 7, broadcast_7},
    {"Pow", 7, broadcast_7},
    {"And", 7, broadcast_7},
    {"Or", 7, broadcast_7},
    {"Xor", 7, broadcast_7},
    {"Equal", 7, broadcast_7},
    {"Greater", 7, broadcast_7},
    {"Less", 7, broadcast_7},
    {"Gemm", 7, gemm_7},
    {"PRelu", 7, prelu_7},
    {"BatchNormalization", 7, inference_only},
    {"Dropout", 7, inference_only},
    {"LSTM", 7, recurrent_7},
    {"GRU", 7, recurrent_7},
    {"RNN", 7, recurrent_7},
    {"Upsample", 7, upsample_7},
    {"BatchNormalization", 9, batch_normalization_9},
    {"Upsample", 9, upsample_9},
    {"MeanVarianceNormalization", 9, mean_variance_9},
    {"Scan", 9, scan_9},
    {"Upsample", 10, upsample_10},
    {"Slice", 10, slice_10},
    {"TopK", 10, top_k_10},
};
const std::vector<UpgradeRow> kUpgradesTo13 = {
    {"Resize", 11, resize_11},
    {"Clip", 11, clip_11},
    {"Pad", 11, pad_11},
    {"Scatter", 11, scatter_11},
    {"Dropout", 12, dropout_12},
    {"Squeeze", 13, axes_13},
    {"Unsqueeze", 13, axes_13},
    {"ReduceSum", 13, axes_13},
    {"Split", 13, split_13},
    {"Resize", 13, resize_13},
    {"Softmax", 13, softmax_13},
    {"LogSoftmax", 13, softmax_13},
    {"Hardmax", 13, softmax_13},
};
const std::vector<UpgradeRow> kUpgradesBeyond13 = {
    {"BatchNormalization", 14, batch_normalization_14},
    {"RoiAlign", 16, roi_align_16},
    {"ReduceL1", 18, axes_13},
    {"ReduceL2", 18, axes_13},
    {"ReduceLogSum", 18, axes_13},
    {"ReduceLogSumExp", 18, axes_13},
    {"ReduceMax", 18, axes_13},
    {"ReduceMean", 18, axes_13},
    {"ReduceMin", 18, axes_13},
    {"ReduceProd", 18, axes_13},
    {"ReduceSumSquare", 18, axes_13},
    {"Split", 18, split_18},
    {"GridSample", 20, grid_sample_20},
    {"DFT", 20, dft_20},
    {"GroupNormalization", 21, group_normalization_21},
};

}  // namespace pare
