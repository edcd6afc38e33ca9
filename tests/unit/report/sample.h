#pragma once
#include <cmath>

#include "base/random.h"
#include "base/row.h"

namespace pare::sample {

// INVENTED figures in the form of a study of ResNet-20 on CIFAR-10: for testing the report, measured by nobody.
struct Form {
  const char *file, *recipe;
  int64_t size;
  double top1, change, half;  // fractions
  double ms, ratio;
  double noise_db;  // of a typical layer
};

inline std::vector<LayerRow> layers(const Form& form, uint64_t seed) {
  Random random(seed);
  std::vector<LayerRow> out;
  for (int i = 0; i < 20; ++i) {
    LayerRow layer;
    const int stage = i < 7 ? 1 : i < 13 ? 2 : 3;
    layer.name = i == 0    ? "conv1"
                 : i == 19 ? "fc"
                           : "layer" + std::to_string(stage) + "." + std::to_string((i - 1) % 6 / 2) + ".conv" +
                                 std::to_string(i % 2 ? 1 : 2);
    layer.op = i == 19 ? "gemm 64x10" : "conv 3x3, " + std::to_string(8 << stage) + " channels";
    layer.baseline_ms = (i == 19 ? 0.002 : 0.021) * (0.9 + 0.2 * random.uniform());
    layer.milliseconds = layer.baseline_ms * form.ratio * (0.85 + 0.3 * random.uniform());
    layer.implementation = form.ratio < 0.7 ? "conv_u8s8 direct, avx512 vnni" : "oneDNN jit avx512_core";
    layer.sqnr_db = form.noise_db + 6 * random.normal();
    layer.baseline_weight_bytes = i == 19 ? 2560 : int64_t(9) * (8 << stage) * (8 << stage) * 4;
    layer.weight_bytes = int64_t(double(layer.baseline_weight_bytes) * double(form.size) / 1'096'440);
    layer.macs = layer.baseline_weight_bytes * 64;
    if (i == 0 && form.noise_db < 60) {
      layer.note = "kept in float32: 27 inputs per output, int8 was 1.2x slower here";
      layer.milliseconds = layer.baseline_ms * 1.001;
      layer.sqnr_db = INFINITY;
      layer.implementation = "oneDNN jit avx512_core";
    }
    out.push_back(layer);
  }
  return out;
}

inline Row row_of(const Form& form, size_t index) {
  Row row;
  row.model = form.file;
  row.recipe = form.recipe;
  row.format = "onnx";
  row.size_bytes = form.size;
  row.weight_count = row.weight_nonzero = 270'896;
  row.macs = 40'813'184;
  row.metric = MetricValue{"top1", form.top1, form.top1 - 0.0179, form.top1 + 0.0162, 1017, true};
  row.more_metrics = {{"top5", 0.9971, 0.992, 0.999, 1017, true}};
  if (index > 0) row.paired = PairedTest{form.change, form.change - form.half, form.change + form.half, 4, 7, 0.55};
  row.latency = Latency{form.ms, form.ms * 1.08, form.ratio, form.ratio * 0.975, form.ratio * 1.02, 1, 1, 400};
  if (index == 0) row.latency->ratio_low = row.latency->ratio_high = 1;
  row.peak_memory_bytes = 21'400'000 + form.size * 2;
  row.energy_note = "this machine has no readable counter (/sys/class/powercap is empty)";
  if (index > 0) row.compress_seconds = 0.4 * double(index);
  row.shapes = {"image 1x3x32x32"};
  if (index > 0) row.layers = layers(form, index);
  return row;
}

inline Table table() {
  const Form forms[] = {
      {"models/resnet20.onnx", "", 1'096'440, 0.9164, 0, 0, 0.412, 1.0, 0},
      {"artifacts/f16.onnx", "fold-batchnorm{}, cast-weights{type=f16}", 557'480, 0.9164, 0.0, 0.0012, 0.408, 0.99, 78},
      {"artifacts/bf16.onnx", "fold-batchnorm{}, cast-weights{type=bf16}", 557'480, 0.9154, -0.001, 0.0041, 0.231, 0.56,
       46},
      {"artifacts/dynamic.onnx", "fold-batchnorm{}, quantize-dynamic{skip_below=0}", 309'645, 0.9184, 0.002, 0.0053,
       0.918, 2.23, 38},
      {"artifacts/int8-minmax.onnx",
       "fold-batchnorm{}, equalize-layers{iterations=2}, quantize-static{calibration=minmax, samples=512, "
       "per_channel=true, exclude=[conv1]}",
       286'204, 0.9135, -0.0029, 0.0061, 0.204, 0.495, 33},
      {"artifacts/int8-entropy.onnx",
       "fold-batchnorm{}, equalize-layers{iterations=2}, quantize-static{calibration=entropy, samples=512, "
       "per_channel=true, exclude=[conv1]}",
       282'317, 0.9154, -0.001, 0.0058, 0.203, 0.492, 36},
      {"artifacts/int4.onnx", "fold-batchnorm{}, quantize-columns{bits=4, group=32, damping=0.01}", 158'904, 0.8791,
       -0.0373, 0.0121, 0.398, 0.966, 19},
  };
  Table table;
  table.title = "ResNet-20 on CIFAR-10";
  table.data = "cifar10.toml";
  table.machine = {
      {"cpu", "Example CPU @ 2.70GHz"}, {"cores", 2},   {"isa", "avx512 vnni bf16"}, {"memory_bytes", 8'300'000'000},
      {"os", "Linux 6.1, Debian 12"},   {"threads", 1}, {"pare", "0.1.0"},           {"date", "2026-11-23"}};
  for (const Form& form : forms) table.rows.push_back(row_of(form, table.rows.size()));
  table.rows[5].notes = {"conv1 stays float32: int8 was 1.2x slower there",
                         "equalize-layers moved 9 pairs of channels, worst ratio 41 → 3.2"};
  Row failed;
  failed.model = "artifacts/factorized.onnx";
  failed.recipe =
      "factorize-conv{rank=0.5, method=tucker}, quantize-static{calibration=entropy, samples=512, per_channel=true, "
      "exclude=[]}";
  failed.format = "onnx";
  failed.error =
      "layer3.2.conv2: the solver found rank 0 for a weight of zeros; expected at least 1\n  exclude the layer: "
      "factorize-conv{exclude=[layer3.2.conv2]}";
  table.rows.push_back(failed);
  return table;
}

}  // namespace pare::sample
