#include <cstring>

#include "graph/ops/links_of.h"

namespace pare {
namespace {

Type target(const Node& node) {
  const auto type = type_of_number(int(node.integer("to", 0)));
  if (!type) throw Error(node.where(), "casts to type number " + std::to_string(node.integer("to", 0)) + ", which is not known");
  return *type;
}
CastRule rule_of(const Node& node) {
  CastRule rule;
  rule.saturate = node.integer("saturate", 1) != 0;
  const std::string mode = node.text("round_mode", "up");
  if (mode == "down") rule.e8m0 = CastRule::Round::down;
  else if (mode == "nearest") rule.e8m0 = CastRule::Round::nearest;
  else if (mode != "up") throw Error(node.where(), "round_mode is '" + mode + "', expected up, down or nearest");
  return rule;
}

void infer_to(Inference& in, Type type) {
  in.set_type(0, type);
  if (const Shape* shape = in.shape(0)) in.set(0, type, *shape);
}
void infer_cast(Inference& in) { infer_to(in, target(in.node())); }
void forward_cast(Forward& f) { f.outputs[0] = f.in(0).cast(target(f.node), rule_of(f.node)); }
void infer_cast_like(Inference& in) { infer_to(in, in.type(1)); }
void forward_cast_like(Forward& f) { f.outputs[0] = f.in(0).cast(f.in(1).type(), rule_of(f.node)); }

void forward_bit_cast(Forward& f) {
  const Type type = target(f.node);
  const Array& x = f.in(0);
  if (type_bits(type) != type_bits(x.type()) || type_bits(type) == 0)
    throw Error(f.node.where(), "takes the bits of " + std::string(type_text(x.type())) + " for " + std::string(type_text(type)) + ", which has another size");
  Array y(type, x.dims());
  if (y.size_bytes() > 0) std::memcpy(y.mutable_bytes(), x.bytes(), y.size_bytes());
  if (type == Type::boolean)  // a bool of another byte than 0 and 1 would be undefined behaviour where it is read
    for (size_t i = 0; i < y.size_bytes(); ++i) y.mutable_bytes()[i] = x.bytes()[i] == std::byte(0) ? std::byte(0) : std::byte(1);
  f.outputs[0] = y;
}

}  // namespace

const Op op_cast{"Cast", "", 1, 1, 1, 1, infer_cast, forward_cast, nullptr, "another element type", -1, links_broadcast};
const Op op_cast_like{"CastLike", "", 2, 2, 1, 1, infer_cast_like, forward_cast_like, nullptr, "the element type of another tensor"};
const Op op_bit_cast{"BitCast", "", 1, 1, 1, 1, infer_cast, forward_bit_cast, nullptr, "the same bits as another element type"};

}  // namespace pare
