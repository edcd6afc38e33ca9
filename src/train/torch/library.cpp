// The door of the training library: what the program finds in it.
#include <ATen/Parallel.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <cstring>
#include <limits>

#include "train/torch/arrays.h"
#include "train/torch/rounding.h"
#include "train/torch/trainer.h"

namespace pare {
namespace {

// A step's tensors are as large as those of the step before. What glibc gave back to the kernel in between would come
// again page by page, cleared: a tenth of a small network's training. For the whole process, but only where it trains.
void keep_freed_memory() {
#ifdef __GLIBC__
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the most that glibc takes
  mallopt(M_TOP_PAD, 16 << 20);
#endif
}

class TorchLibrary : public TrainingLibrary {
 public:
  TorchLibrary() { keep_freed_memory(); }

  TrainingReport train(Graph& graph, const TrainingJob& job) const override {
    at::set_num_threads(job.threads);
    Trainer trainer(graph, job);
    TrainingReport report = trainer.run();
    report.changed = trainer.write(graph);
    return report;
  }

  TrainingReport learn_rounding(Graph& graph, const RoundingJob& job) const override {
    at::set_num_threads(job.threads);
    return learn_rounding_by_blocks(graph, job);
  }

  std::map<std::string, LossGradient> gradients(const Graph& graph, const TrainingJob& job,
                                                int64_t samples) const override {
    at::set_num_threads(job.threads);
    Interpreter interpreter(graph);
    Parameters parameters(interpreter, job);
    const std::unique_ptr<Loss> loss = make_loss(graph, job);
    std::vector<int64_t> chosen = split_samples(*job.data, 0, job.seed).train;
    chosen.resize(size_t(std::min<int64_t>(samples, int64_t(chosen.size()))));
    BatchReader reader(*job.data,
                       epoch_batches(*job.data, chosen, read_at_once(*job.data, int64_t(job.options.batch)), job.seed, 0));
    std::map<std::string, std::pair<at::Tensor, at::Tensor>> sums;
    for (size_t i = 0; i < reader.count(); ++i) {
      if (job.stopped()) throw Error(job.name, "interrupted while gradients were computed");
      if (job.progress) job.progress(job.name + ": gradients", double(i), double(reader.count()));
      const TrainingBatch batch = reader.next();
      parameters.place(interpreter);
      const std::vector<at::Tensor> inputs = interpreter.inputs_of(batch.inputs);
      loss->of(interpreter.run(inputs, loss->wanted()), inputs, batch).loss.backward();
      for (Parameter& p : parameters.all) {
        if (!p.value.grad().defined()) continue;
        auto& [sum, squares] = sums[p.name];
        const at::Tensor gradient = p.value.grad();
        sum = sum.defined() ? sum + gradient : gradient.clone();
        squares = squares.defined() ? squares + gradient.square() : gradient.square();
        p.value.mutable_grad() = at::Tensor();
      }
    }
    std::map<std::string, LossGradient> result;
    const double count = double(std::max<size_t>(reader.count(), 1));
    for (const auto& [name, pair] : sums) result[name] = {array_of(pair.first / count), array_of(pair.second / count)};
    return result;
  }

  std::vector<Array> forward(const Graph& graph, const std::vector<Array>& inputs) const override {
    const at::NoGradGuard guard;
    const Interpreter interpreter(graph);
    std::vector<Array> results;
    for (const at::Tensor& tensor : interpreter.run(interpreter.inputs_of(inputs), graph.outputs))
      results.push_back(array_of(tensor));
    return results;
  }
};

}  // namespace
}  // namespace pare

// `abi`: the caller's stamp; another one means types laid out differently.
extern "C" __attribute__((visibility("default"))) const pare::TrainingLibrary* pare_training_library(const char* abi) {
  static const pare::TorchLibrary library;
  return std::strcmp(abi, PARE_TRAIN_ABI) == 0 ? &library : nullptr;
}
