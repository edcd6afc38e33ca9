#include "engine/plan.h"

#include <algorithm>

#include "engine/integer/integer.h"
#include "graph/op.h"
#include "kernels/sparse_float/sparse_float.h"

namespace pare {

int64_t channel_block() {
  static const int64_t block = __builtin_cpu_supports("avx512f") ? 16 : 8;
  return block;
}

// An odd number of cache lines, as between the channels of maps.
int64_t lanes_pitch(int64_t places) { return ((places + kSparseLanes - 1) / kSparseLanes | 1) * kSparseLanes; }

size_t Storage::bytes() const {
  if (layout == Layout::lanes && dims.size() == 4)
    return size_t(dims[0] * bands * SparseLanes{dims[2], dims[3], ring, bands}.band(dims[1])) * sizeof(float);
  if (layout == Layout::lanes && !dims.empty()) return size_t(dims.back() * lanes_pitch(count_of(dims) / std::max<int64_t>(dims.back(), 1))) * sizeof(float);
  int64_t count = 1;
  for (size_t i = 0; i < dims.size(); ++i)
    count *= layout == Layout::blocked && i == 1 ? (dims[i] + channel_block() - 1) / channel_block() * channel_block() : dims[i];
  return (size_t(count) * size_t(type_bits(type)) + 7) / 8;
}

#define LOWERING(name) bool lower_##name(Planner& planner, int node);
#include "engine/lowerings.inc"
#undef LOWERING

std::optional<std::vector<int64_t>> constant_integers(const Graph& graph, ValueId id) {
  const Tensor* tensor = graph.constant(id);
  return tensor ? std::optional(tensor->decode().to_integers()) : std::nullopt;
}

std::span<const Lowering> lowerings() {
  static const Lowering all[] = {
#define LOWERING(name) {#name, lower_##name},
#include "engine/lowerings.inc"
#undef LOWERING
  };
  return all;
}

Planner::Planner(Graph planned, const SessionOptions& session_options, int thread_count, Layout layout, int band_count)
    : graph(std::move(planned)), options(session_options), threads(thread_count), image_layout(layout == Layout::lanes ? Layout::blocked : layout), lanes(layout == Layout::lanes), bands(band_count), cache(session_options.use_cache, thread_count) {
  producer = graph.producers();
  consumers = graph.consumers();
  done.assign(graph.nodes.size(), 0);
  output_values = graph.outputs;
  for (const std::string& tap : options.taps) {
    const ValueId id = graph.find(tap);
    if (id == kNone) throw Error("value '" + tap + "'", "is not in the model");
    output_values.push_back(id);
  }
  pinned_.insert(output_values.begin(), output_values.end());
  if (image_layout == Layout::blocked) find_homes();
}

bool in_bfloat16(const Tensor& tensor) { return !tensor.plain() && std::string_view(tensor.codec->name) == "bfloat16"; }

Type compute_type(const Planner& planner, ValueId weight) {
  const Tensor* tensor = planner.graph.constant(weight);
  return tensor != nullptr && in_bfloat16(*tensor) && __builtin_cpu_supports("avx512bf16") && channel_block() == 16 ? Type::bf16 : Type::f32;
}

Dims Planner::dims(ValueId id) const {
  const Value& value = graph.at(id);
  const auto known = value.shape ? known_dims(*value.shape) : std::nullopt;
  if (!known) {
    const std::string by = producer[size_t(id)] >= 0 ? graph.nodes[size_t(producer[size_t(id)])].where() : "graph input";
    throw Error(by, "the shape of '" + value.name + "' is not known before running" + (value.shape ? ": " + shape_text(*value.shape) : ""),
                "export the model with fixed shapes");
  }
  return *known;
}

bool Planner::pinned(ValueId id) const { return pinned_.count(id) != 0; }

int Planner::only_consumer(ValueId id) const {
  return consumers[size_t(id)].size() == 1 && !pinned(id) ? consumers[size_t(id)][0] : -1;
}

bool Planner::last_use(ValueId id, int reader) const {
  if (pinned(id)) return false;
  if (std::find(graph.inputs.begin(), graph.inputs.end(), id) != graph.inputs.end()) return false;
  return !read_later(id, reader);
}

bool Planner::read_later(ValueId id, int reader) const {
  if (std::any_of(consumers[size_t(id)].begin(), consumers[size_t(id)].end(), [&](int n) { return n != reader && !done[size_t(n)]; })) return true;
  // What lies inside of a Concat's result goes with it.
  return std::any_of(homes_.begin(), homes_.end(), [&](const auto& home) {
    const ValueId part = home.first;
    return home.second.concat == id && (std::count(output_values.begin(), output_values.end(), part) != 0 || read_later(part, reader));
  });
}

std::optional<SlotId> Planner::existing(ValueId id) const {
  auto it = forms_.lower_bound({id, Layout::plain, Type::none});
  if (it == forms_.end() || std::get<0>(it->first) != id) return std::nullopt;
  return it->second;
}

SlotId Planner::slot(ValueId id, Layout layout, Type type) {
  if (dims(id).size() != 4 && layout != Layout::lanes) layout = Layout::plain;
  if (auto it = forms_.find({id, layout, type}); it != forms_.end()) return it->second;
  if (graph.constant(id) != nullptr && !existing(id)) throw std::logic_error("constant '" + graph.at(id).name + "' has no slot");
  if (!existing(id)) {
    // A dequantization nobody could fuse: it is made now, in front of its first reader.
    const int node = producer[size_t(id)];
    PARE_CHECK(node >= 0 && graph.nodes[size_t(node)].is("DequantizeLinear"));
    emit_dequantize(*this, node);
    if (auto it = forms_.find({id, layout, type}); it != forms_.end()) return it->second;
  }
  SlotId source = *existing(id);
  // Lanes are made from floats and left as floats.
  const bool lanes_change = (layout == Layout::lanes) != (this->storage(source).layout == Layout::lanes);
  if (lanes_change && (this->storage(source).type != Type::f32 || type != Type::f32)) source = slot(id, Layout::plain, Type::f32);
  const Storage storage = layout == Layout::lanes ? lanes_storage(*this, id) : Storage{type, dims(id), layout};
  const SlotId target = scratch(storage);
  forms_[{id, layout, type}] = target;
  auto step = make_conversion(this->storage(source), storage, source, target);
  step->report.name = graph.at(id).name;
  step->report.output = graph.at(id).name;
  emit(std::move(step));
  return target;
}

SlotId Planner::scratch(Storage storage) {
  slots.push_back({std::move(storage)});
  return SlotId(slots.size()) - 1;
}

SlotId Planner::define(ValueId id, Storage storage) {
  if (storage.dims.size() != 4 && storage.layout != Layout::lanes) storage.layout = Layout::plain;
  const auto key = std::tuple(id, storage.layout, storage.type);
  const SlotId slot = scratch(std::move(storage));
  forms_[key] = slot;
  if (const auto home = homes_.find(id); home != homes_.end() && std::get<Layout>(key) == Layout::blocked) {
    move_in(slot, home->second);
    keep(id);
  }
  return slot;
}

SlotId Planner::define_alias(ValueId id, Storage storage, SlotId of, size_t shift) {
  if (storage.dims.size() != 4) storage.layout = Layout::plain;
  const auto key = std::tuple(id, storage.layout, storage.type);
  const SlotId slot = scratch(std::move(storage));
  forms_[key] = slot;
  shift += slots[size_t(of)].shift;
  if (slots[size_t(of)].alias >= 0) of = slots[size_t(of)].alias;
  slots[size_t(slot)].alias = of;
  slots[size_t(slot)].shift = shift;
  return slot;
}

SlotId Planner::joined_slot(ValueId concat, Type type) {
  const auto key = std::pair(concat, type);
  if (const auto made = joined_.find(key); made != joined_.end()) return made->second;
  const SlotId slot = scratch({type, dims(concat), Layout::blocked});
  if (const auto home = homes_.find(concat); home != homes_.end()) move_in(slot, home->second);
  return joined_[key] = slot;
}

// Puts a slot where its value belongs in the Concat's.
void Planner::move_in(SlotId id, const Home& home) {
  const Storage& own = storage(id);
  const size_t shift = size_t(home.channel * own.dims[2] * own.dims[3] * type_bits(own.type) / 8);
  const SlotId whole = joined_slot(home.concat, own.type);
  const Slot& around = slots[size_t(whole)];
  slots[size_t(id)].alias = around.alias >= 0 ? around.alias : whole;
  slots[size_t(id)].shift = around.shift + shift;
}

SlotId Planner::define_joined(ValueId concat, Type type) {
  const SlotId slot = joined_slot(concat, type);
  forms_[{concat, Layout::blocked, type}] = slot;
  if (homed(concat)) keep(concat);
  return slot;
}

// The inputs of a Concat of channels lie one behind the other where the batch is 1 and every one of them fills whole blocks.
// A value can lie in one place only.
void Planner::find_homes() {
  for (const Node& node : graph.nodes) {
    if (!node.is("Concat") || graph.at(node.outputs[0]).type != Type::f32) continue;
    const auto whole = graph.at(node.outputs[0]).shape ? known_dims(*graph.at(node.outputs[0]).shape) : std::nullopt;
    const int64_t axis = node.integer("axis", 0);
    if (!whole || whole->size() != 4 || (*whole)[0] != 1 || (axis != 1 && axis != -3)) continue;
    std::map<ValueId, Home> found;
    int64_t channel = 0;
    for (ValueId id : node.inputs) {
      const int64_t channels = dims(id)[1];
      if (channel % channel_block() == 0 && channels % channel_block() == 0 && producer[size_t(id)] >= 0 && !homed(id)) found[id] = {node.outputs[0], channel};
      channel += channels;
    }
    if (channel % channel_block() == 0) homes_.insert(found.begin(), found.end());
  }
}

void Planner::emit(std::unique_ptr<Step> step) {
  if (step->report.note.empty())
    for (const std::string& reason : refusals_) step->report.note += (step->report.note.empty() ? "" : "; ") + reason;
  refusals_.clear();
  steps.push_back(std::move(step));
}

Storage Planner::form(ValueId id) const {
  const auto slot = existing(id);
  // Lanes have a ring around their maps: only layers made for them work on them.
  return slot && storage(*slot).layout != Layout::lanes ? storage(*slot) : Storage{graph.at(id).type, dims(id), Layout::plain};
}

bool Planner::is_input(SlotId id) const { return std::find(input_slots.begin(), input_slots.end(), id) != input_slots.end(); }

void Planner::refuse(const std::string& reason) { refusals_.push_back(reason); }

Array Planner::constant(ValueId id) const {
  PARE_CHECK(graph.constant(id) != nullptr);
  return graph.constant(id)->decode();
}

namespace {

// Scale and zero point of a (de)quantization, where both are one constant and the integers have 8 bits or 4.
std::optional<Planner::Quantized> parameters(const Graph& graph, const Node& node, Type type) {
  const Tensor *scale = graph.constant(node.input(1)), *zero = graph.constant(node.input(2));
  const bool is_signed = type == Type::i8 || type == Type::i4;
  if (scale == nullptr || scale->count() != 1 || !(is_signed || type == Type::u8 || type == Type::u4)) return std::nullopt;
  if (node.input(2) != kNone && (zero == nullptr || zero->count() != 1)) return std::nullopt;
  if (scale->type != Type::f32) return std::nullopt;
  const int levels = 1 << type_bits(type), least = is_signed ? -levels / 2 : 0;
  return Planner::Quantized{kNone, scale->decode().to_floats()[0], zero ? int(zero->decode().to_integers()[0]) : 0, is_signed ? Type::i8 : Type::u8, least, least + levels - 1};
}

}  // namespace

// Elements below 8 bits are bytes here, which only integer layers know: whoever else reads or makes such a value has the
// graph's type.
bool Planner::travels_in_bytes(ValueId id) const {
  if (type_bits(graph.at(id).type) >= 8) return true;
  const int made = producer[size_t(id)];
  if (made < 0 || !graph.nodes[size_t(made)].is("QuantizeLinear") || std::count(output_values.begin(), output_values.end(), id) != 0) return false;
  const Node& quantize = graph.nodes[size_t(made)];
  if (graph.at(quantize.inputs[0]).type != Type::f32 || !parameters(graph, quantize, graph.at(id).type)) return false;
  const std::vector<int>& readers = consumers[size_t(id)];
  return std::all_of(readers.begin(), readers.end(), [&](int n) {
    const Node& node = graph.nodes[size_t(n)];
    return node.is("DequantizeLinear") && parameters(graph, node, graph.at(id).type);
  });
}

std::optional<Planner::Quantized> Planner::dequantized(ValueId id) const {
  if (id == kNone || producer[size_t(id)] < 0) return std::nullopt;
  const Node& node = graph.nodes[size_t(producer[size_t(id)])];
  if (!node.is("DequantizeLinear") || !travels_in_bytes(node.inputs[0])) return std::nullopt;
  auto q = parameters(graph, node, graph.at(node.inputs[0]).type);
  if (q) q->value = node.inputs[0];
  return q;
}

std::optional<Planner::Quantized> Planner::quantized_by(int node_index) const {
  if (node_index < 0) return std::nullopt;
  const Node& node = graph.nodes[size_t(node_index)];
  if (!node.is("QuantizeLinear") || !travels_in_bytes(node.outputs[0])) return std::nullopt;
  auto q = parameters(graph, node, graph.at(node.outputs[0]).type);
  if (q) q->value = node.outputs[0];
  return q;
}

void Planner::lower(int node) {
  refusals_.clear();
  for (const Lowering& lowering : lowerings())
    if (lowering.lower(*this, node)) {
      done[size_t(node)] = 1;
      return;
    }
  throw std::logic_error("no lowering took " + graph.nodes[size_t(node)].where());
}

void Planner::build() {
  for (ValueId id : graph.inputs) input_slots.push_back(define(id, {graph.at(id).type, dims(id), Layout::plain}));
  for (size_t n = 0; n < graph.nodes.size(); ++n)
    if (!done[n]) lower(int(n));
  for (ValueId id : output_values) {
    if (graph.constant(id) != nullptr) throw Error("output '" + graph.at(id).name + "'", "is a constant of the model");
    output_slots.push_back(slot(id, Layout::plain, graph.at(id).type));
  }
  plan_memory();
  cache.save();
}

}  // namespace pare
