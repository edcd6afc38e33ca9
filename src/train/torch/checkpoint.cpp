#include "train/torch/checkpoint.h"

#include <torch/serialize.h>

#include <filesystem>

#include "base/error.h"

namespace pare {
namespace {

namespace fs = std::filesystem;
using torch::serialize::InputArchive;
using torch::serialize::OutputArchive;

at::Tensor numbers(const Checkpoint& c) {
  return at::tensor({double(c.epoch), double(c.best_epoch), c.best_metric, c.best_loss, c.first_metric, c.first_loss,
                     c.seconds, double(c.average.steps), double(c.state.size()), double(c.best.size()), double(c.average.values.size())},
                    at::kDouble);
}

std::vector<at::Tensor> read_list(InputArchive& archive, const std::string& name, int64_t count, size_t expected) {
  if (count != int64_t(expected))
    throw Error("", "holds " + std::to_string(count) + " tensors, expected " + std::to_string(expected));
  std::vector<at::Tensor> list(expected);
  for (size_t i = 0; i < list.size(); ++i) archive.read(name + std::to_string(i), list[i]);
  return list;
}

// Only what fits the parameters that are there.
std::vector<at::Tensor> fitting(std::vector<at::Tensor> read, const std::vector<at::Tensor>& own) {
  for (size_t i = 0; i < read.size(); ++i)
    if (read[i].sizes() != own[i].sizes() || read[i].scalar_type() != own[i].scalar_type())
      throw Error("", "holds a tensor of another shape");
  return read;
}

}  // namespace

void save_checkpoint(const std::string& path, const Checkpoint& c,
                     const std::vector<torch::optim::Optimizer*>& optimizers) {
  const std::string temporary = path + ".part";
  try {
    OutputArchive archive;
    archive.write("fingerprint", at::tensor(c.fingerprint, at::kLong));
    archive.write("numbers", numbers(c));
    for (size_t i = 0; i < c.state.size(); ++i) archive.write("state" + std::to_string(i), c.state[i]);
    for (size_t i = 0; i < c.best.size(); ++i) archive.write("best" + std::to_string(i), c.best[i]);
    for (size_t i = 0; i < c.average.values.size(); ++i) archive.write("average" + std::to_string(i), c.average.values[i]);
    for (size_t i = 0; i < optimizers.size(); ++i) {
      OutputArchive inner;
      optimizers[i]->save(inner);
      archive.write("optimizer" + std::to_string(i), inner);
    }
    archive.save_to(temporary);
    fs::rename(temporary, path);
  } catch (const std::exception& error) {
    std::error_code ignored;
    fs::remove(temporary, ignored);
    const std::string text = error.what();
    throw Error(path, "the checkpoint cannot be written: " + text.substr(0, text.find('\n')),
                "make room, or write the artifact elsewhere");
  }
}

bool load_checkpoint(const std::string& path, Checkpoint& c, const std::vector<torch::optim::Optimizer*>& optimizers) {
  std::error_code ignored;
  if (path.empty() || !fs::exists(path, ignored)) return false;
  try {
    InputArchive archive;
    archive.load_from(path);
    at::Tensor fingerprint, values;
    archive.read("fingerprint", fingerprint);
    if (fingerprint.item<int64_t>() != c.fingerprint) return false;
    archive.read("numbers", values);
    if (values.numel() != numbers(c).numel()) throw Error("", "holds " + std::to_string(values.numel()) + " numbers");
    const auto v = values.accessor<double, 1>();
    const std::vector<at::Tensor> state = fitting(read_list(archive, "state", int64_t(v[8]), c.state.size()), c.state);
    const std::vector<at::Tensor> best = fitting(read_list(archive, "best", int64_t(v[9]), c.state.size()), c.state);
    const std::vector<at::Tensor> average = fitting(read_list(archive, "average", int64_t(v[10]), c.average.values.size()), c.average.values);
    for (size_t i = 0; i < optimizers.size(); ++i) {
      InputArchive inner;
      archive.read("optimizer" + std::to_string(i), inner);
      optimizers[i]->load(inner);
    }
    c = {c.fingerprint, int64_t(v[0]), int64_t(v[1]), v[2], v[3], v[4], v[5], v[6], state, best, {average, int64_t(v[7])}};
    return true;
  } catch (const std::exception& error) {
    throw Error(path, "is not a whole checkpoint", "delete it: training then starts from the beginning");
  }
}

}  // namespace pare
