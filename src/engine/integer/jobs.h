#pragma once
// Steps that are one job of the elementwise kernels.
#include "engine/integer/integer.h"
#include "kernels/elementwise_int8/elementwise_int8.h"

namespace pare {

inline const ElementwiseInt8Kernel& elementwise_kernel(const Planner& planner) { return choose_kernel(elementwise_int8_kernels(), planner.options.kernels); }

inline Int8Type type_of(const Planner::Quantized& q) { return {q.type == Type::i8, q.zero, q.scale}; }

// `bind` puts the slots' addresses into a copy of the job.
template <class Job>
class JobStep : public Step {
 public:
  using Bind = void (*)(Job&, std::byte* const*, const std::vector<SlotId>&, SlotId);
  JobStep(Job job, void (*function)(const Job&, int, int), Bind bind) : job_(job), function_(function), bind_(bind) {}
  bool team() const override { return true; }
  void run(std::byte* const* slots, int thread, int threads) override {
    Job job = job_;
    bind_(job, slots, reads, writes);
    function_(job, thread, threads);
  }
  std::shared_ptr<const void> data;  // what the job points to besides slots

 private:
  Job job_;
  void (*function_)(const Job&, int, int);
  Bind bind_;
};

template <class Job>
void bind_one(Job& job, std::byte* const* slots, const std::vector<SlotId>& reads, SlotId writes) {
  job.input = reinterpret_cast<decltype(job.input)>(slots[reads[0]]);
  job.output = reinterpret_cast<decltype(job.output)>(slots[writes]);
}

// Of jobs with inputs a and b; b is absent where one slot is read.
template <class Job>
void bind_two(Job& job, std::byte* const* slots, const std::vector<SlotId>& reads, SlotId writes) {
  job.a = slots[reads[0]];
  job.b = reads.size() > 1 ? slots[reads[1]] : nullptr;
  job.output = slots[writes];
}

template <class Job>
void emit_job(Planner& planner, Job job, void (*function)(const Job&, int, int), typename JobStep<Job>::Bind bind, std::vector<SlotId> reads, SlotId writes,
              const Node& node, const std::string& op, const std::string& output, std::shared_ptr<const void> data = nullptr) {
  auto step = std::make_unique<JobStep<Job>>(job, function, bind);
  step->reads = std::move(reads);
  step->writes = writes;
  step->data = std::move(data);
  step->report = {node.name, op, output, std::string("int8 ") + elementwise_kernel(planner).isa, "int8", "", 0, 0, 0};
  planner.emit(std::move(step));
}

// Bytes of `source` to `target`, through `table` where there is one.
inline void emit_move(Planner& planner, MoveInt8 job, std::shared_ptr<const ByteTable> table, SlotId source, SlotId target, const Node& node, const std::string& op,
                      const std::string& output) {
  job.table = table ? table->data() : nullptr;
  emit_job(planner, job, elementwise_kernel(planner).move, bind_one<MoveInt8>, {source}, target, node, op, output, table);
}

}  // namespace pare
