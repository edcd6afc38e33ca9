// Where slots lie in the arena. First-fit by size: the largest slots are placed first, each at the lowest offset that is free during its life.
#include <algorithm>

#include "engine/plan.h"

namespace pare {
namespace {

bool meet(const Planner::Part& a, const Planner::Part& b) { return a.from < b.to && b.from < a.to; }

}  // namespace

// Parts of a slot that nobody touches before a later step than the slot's first: those of a Concat's result that are made last.
// `touched`: of each slot, the first step that names it itself.
std::vector<Planner::Part> Planner::late_parts(SlotId root, const std::vector<int>& touched) const {
  std::vector<Part> parts;
  if (storage(root).bands > 1 || touched[size_t(root)] == slots[size_t(root)].first) return parts;
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].alias != root || touched[i] < 0) continue;
    Part part{slots[i].shift, slots[i].shift + slots[i].storage.bytes(), touched[i]};
    // Those that share memory are one.
    std::erase_if(parts, [&](const Part& other) {
      if (!meet(part, other)) return false;
      part = {std::min(part.from, other.from), std::max(part.to, other.to), std::min(part.first, other.first)};
      return true;
    });
    parts.push_back(part);
  }
  for (Part& part : parts)
    if (touched[size_t(root)] >= 0) part.first = std::min(part.first, touched[size_t(root)]);
  std::sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) { return a.from < b.from; });
  return parts;
}

void Planner::plan_memory() {
  std::vector<int> touched(slots.size(), -1);
  const auto touch = [&](SlotId id, int step) {
    const SlotId alias = slots[size_t(id)].alias;
    Slot& slot = slots[size_t(alias >= 0 ? alias : id)];
    slot.first = slot.first < 0 ? step : std::min(slot.first, step);
    slot.last = std::max(slot.last, step);
    touched[size_t(id)] = touched[size_t(id)] < 0 ? step : std::min(touched[size_t(id)], step);
  };
  for (size_t s = 0; s < steps.size(); ++s) {
    for (SlotId id : steps[s]->reads) touch(id, int(s));
    if (steps[s]->writes >= 0) touch(steps[s]->writes, int(s));
  }
  for (SlotId id : output_slots) touch(id, int(steps.size()));
  std::vector<SlotId> whole, banded;
  for (size_t i = 0; i < slots.size(); ++i)
    if (slots[i].alias < 0 && slots[i].first >= 0 && !is_input(SlotId(i)))
      (slots[i].storage.bands > 1 ? banded : whole).push_back(SlotId(i));
  constexpr size_t kPage = 4096;  // no page holds memory of two cores
  const size_t first_band = place(whole, touched), band = (place(banded, touched) + kPage - 1) / kPage * kPage;
  for (SlotId id : banded) slots[size_t(id)].offset += first_band;
  band_pitch = int64_t(band / sizeof(float));
  arena_bytes = first_band + size_t(bands) * band;
}

// Offsets for slots (for one band of each); two share memory where one is done before the other begins. Returns the bytes in use.
size_t Planner::place(std::vector<SlotId> order, const std::vector<int>& touched) {
  constexpr size_t kSlack = 64;  // for vector loads past the end: blocks are whole vectors
  const auto slack_of = [&](SlotId id) { return storage(id).layout == Layout::blocked ? 0 : kSlack; };
  const auto bytes_of = [&](SlotId id) {
    return (slots[size_t(id)].storage.bytes() / size_t(slots[size_t(id)].storage.bands) + 63) / 64 * 64;
  };
  std::stable_sort(order.begin(), order.end(), [&](SlotId a, SlotId b) { return bytes_of(a) > bytes_of(b); });
  struct Placed {
    SlotId id;
    std::vector<Part> late;
  };
  std::vector<Placed> placed;
  size_t bytes = 0;
  for (SlotId id : order) {
    Slot& slot = slots[size_t(id)];
    std::vector<std::pair<size_t, size_t>> taken;
    for (const Placed& other : placed) {
      const Slot& o = slots[size_t(other.id)];
      if (o.first > slot.last || slot.first > o.last) continue;
      size_t from = 0;
      for (const Part& part : other.late) {
        if (part.first <= slot.last) continue;
        if (part.from > from) taken.emplace_back(o.offset + from, o.offset + part.from);
        from = part.to;
      }
      taken.emplace_back(o.offset + from, o.offset + bytes_of(other.id) + slack_of(other.id));
    }
    std::sort(taken.begin(), taken.end());
    size_t offset = 0;
    for (const auto& [begin, end] : taken) {
      if (offset + bytes_of(id) + slack_of(id) <= begin) break;
      offset = std::max(offset, (end + 63) / 64 * 64);  // parts of maps of odd extents end anywhere
    }
    slot.offset = offset;
    bytes = std::max(bytes, slot.offset + bytes_of(id) + kSlack);
    placed.push_back({id, late_parts(id, touched)});
  }
  return bytes;
}

}  // namespace pare
