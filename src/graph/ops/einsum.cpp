// Einsum: a sum of products over labelled axes.
#include <cctype>
#include <map>
#include <set>

#include "graph/ops/links_of.h"

namespace pare {
namespace {

// Labels of each operand's axes and of the result's. Letters are themselves; axes of an ellipsis are numbered from the last,
// below zero, so that they line up at the end.
struct Equation {
  std::vector<std::vector<int>> terms;
  std::vector<int> result;
};

std::vector<int> labels_of(const Node& node, const std::string& text, int64_t hidden) {
  std::vector<int> labels;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text.compare(i, 3, "...") == 0) {
      for (int64_t k = hidden; k > 0; --k) labels.push_back(int(-k));
      i += 2;
    } else if (std::isalpha(static_cast<unsigned char>(text[i]))) {
      labels.push_back(text[i]);
    } else {
      throw Error(node.where(), "its equation has '" + text.substr(i, 1) + "' in '" + text + "'");
    }
  }
  return labels;
}

int64_t letters(const std::string& text) { return std::count_if(text.begin(), text.end(), [](unsigned char c) { return std::isalpha(c) != 0; }); }

// Without an arrow: the ellipsis, then the labels that occur once, by the alphabet.
std::string implied(const std::vector<std::string>& terms) {
  std::map<char, int> seen;
  bool dots = false;
  for (const std::string& term : terms) {
    dots |= term.find("...") != std::string::npos;
    for (char c : term)
      if (std::isalpha(static_cast<unsigned char>(c))) ++seen[c];
  }
  std::string result = dots ? "..." : "";
  for (const auto& [c, count] : seen)
    if (count == 1) result += c;
  return result;
}

Equation parse_equation(const Node& node, const std::vector<size_t>& ranks) {
  std::string text = node.text("equation");
  text.erase(std::remove(text.begin(), text.end(), ' '), text.end());
  const size_t arrow = text.find("->");
  std::vector<std::string> terms(1);
  for (char c : text.substr(0, arrow))
    if (c == ',') terms.emplace_back();
    else terms.back() += c;
  if (terms.size() != ranks.size()) throw Error(node.where(), "its equation has " + std::to_string(terms.size()) + " terms for " + std::to_string(ranks.size()) + " inputs");
  Equation equation;
  int64_t most = 0;
  for (size_t i = 0; i < terms.size(); ++i) {
    const bool dots = terms[i].find("...") != std::string::npos;
    const int64_t hidden = int64_t(ranks[i]) - letters(terms[i]);
    if (hidden < 0 || (hidden > 0 && !dots)) throw Error(node.where(), "the term '" + terms[i] + "' does not fit an input of " + std::to_string(ranks[i]) + " axes");
    equation.terms.push_back(labels_of(node, terms[i], hidden));
    if (dots) most = std::max(most, hidden);
    if (equation.terms.back().size() != ranks[i]) throw Error(node.where(), "the term '" + terms[i] + "' does not fit an input of " + std::to_string(ranks[i]) + " axes");
  }
  equation.result = labels_of(node, arrow == std::string::npos ? implied(terms) : text.substr(arrow + 2), most);
  return equation;
}

// Extent of every label; an extent of 1 stretches.
std::map<int, Dim> extents_of(const Node& node, const Equation& equation, const std::vector<Shape>& shapes) {
  std::map<int, Dim> extents;
  for (size_t t = 0; t < shapes.size(); ++t)
    for (size_t i = 0; i < shapes[t].size(); ++i) {
      const Dim& own = shapes[t][i];
      const auto [it, fresh] = extents.emplace(equation.terms[t][i], own);
      if (fresh || it->second == own || (own.known() && own.value == 1)) continue;
      if (it->second.known() && it->second.value != 1 && own.known()) throw Error(node.where(), "an axis has extents " + std::to_string(it->second.value) + " and " + std::to_string(own.value));
      if (!it->second.known() || it->second.value == 1) it->second = own;
    }
  for (size_t i = 0; i < equation.result.size(); ++i) {
    const int label = equation.result[i];
    if (!extents.count(label)) throw Error(node.where(), "its result has an axis that no input has");
    if (std::count(equation.result.begin(), equation.result.end(), label) != 1) throw Error(node.where(), "its result names an axis twice");
  }
  return extents;
}

void infer_einsum(Inference& in) {
  in.set_type(0, in.type(0));
  std::vector<Shape> shapes;
  std::vector<size_t> ranks;
  for (size_t i = 0; i < in.inputs(); ++i) {
    if (in.shape(i) == nullptr) return;
    shapes.push_back(*in.shape(i));
    ranks.push_back(shapes.back().size());
  }
  const Equation equation = parse_equation(in.node(), ranks);
  auto extents = extents_of(in.node(), equation, shapes);
  Shape out;
  for (int label : equation.result) out.push_back(extents[label]);
  in.set(0, in.type(0), out);
}

// For every element of the result, every combination of the labels that are summed.
void forward_einsum(Forward& f) {
  std::vector<Shape> shapes;
  std::vector<size_t> ranks;
  std::vector<Array> arrays;
  for (size_t i = 0; i < f.inputs.size(); ++i) {
    if (!f.has(i)) throw Error(f.node.where(), "input " + std::to_string(i) + " is left out, the operator needs it");
    shapes.push_back(shape_of(f.in(i).dims()));
    ranks.push_back(shapes.back().size());
    arrays.push_back(f.in(i).cast(Type::f64));
  }
  const Equation equation = parse_equation(f.node, ranks);
  const auto extents = extents_of(f.node, equation, shapes);
  std::vector<int> order = equation.result;  // the result's labels, then the summed ones
  for (const auto& [label, extent] : extents)
    if (std::find(order.begin(), order.end(), label) == order.end()) order.push_back(label);
  Dims all, out;
  for (size_t i = 0; i < order.size(); ++i) {
    all.push_back(extents.at(order[i]).value);
    if (i < equation.result.size()) out.push_back(all.back());
  }
  count_of(all, f.node.where());
  const Dims summed(all.begin() + long(out.size()), all.end());
  std::vector<Dims> strides;  // of each operand along `order`
  for (size_t t = 0; t < arrays.size(); ++t) {
    Dims own(order.size(), 0);
    const Dims plain = strides_of(arrays[t].dims());
    for (size_t i = 0; i < plain.size(); ++i) {
      const auto place = size_t(std::find(order.begin(), order.end(), equation.terms[t][i]) - order.begin());
      if (arrays[t].dim(int(i)) != 1) own[place] += plain[i];  // a label twice in one term walks the diagonal
    }
    strides.push_back(own);
  }
  auto offset = [&](size_t t, const Dims& at) {
    int64_t sum = 0;
    for (size_t i = 0; i < at.size(); ++i) sum += at[i] * strides[t][i];
    return size_t(sum);
  };
  Array y(Type::f64, out);
  const int64_t terms = count_of(summed);
  Dims at(order.size(), 0);
  for (double& value : y.mutable_values<double>()) {
    for (int64_t k = 0; k < terms; ++k) {
      double product = 1;
      for (size_t t = 0; t < arrays.size(); ++t) product *= arrays[t].values<double>()[offset(t, at)];
      value += product;
      for (size_t i = order.size(); i-- > out.size();) {
        if (++at[i] < all[i]) break;
        at[i] = 0;
      }
    }
    for (size_t i = out.size(); i-- > 0;) {
      if (++at[i] < all[i]) break;
      at[i] = 0;
    }
  }
  f.outputs[0] = y.cast(f.in(0).type());
}

}  // namespace

// An axis of one label is one axis wherever it stands.
void links_einsum(Links& l) {
  std::vector<size_t> ranks;
  for (ValueId id : l.node().inputs) ranks.push_back(size_t(l.rank(id)));
  const Equation equation = parse_equation(l.node(), ranks);
  std::map<int, std::pair<ValueId, int>> seen;  // the first place of a label where it is not stretched
  std::map<int, int> factors;                   // activations that have it
  const auto visit = [&](ValueId id, const std::vector<int>& labels) {
    for (size_t i = 0; i < labels.size(); ++i) {
      if (l.extent(id, int(i)) == 1) continue;
      const auto [it, fresh] = seen.emplace(labels[i], std::make_pair(id, int(i)));
      if (!fresh) l.tie(id, int(i), it->second.first, it->second.second);
    }
  };
  for (size_t t = 0; t < l.node().inputs.size(); ++t) {
    visit(l.in(t), equation.terms[t]);
    for (int label : std::set<int>(equation.terms[t].begin(), equation.terms[t].end())) factors[label] += !l.constant(l.in(t));
  }
  visit(l.out(), equation.result);
  for (size_t i = 0; i < equation.result.size(); ++i)
    if (factors[equation.result[i]] > 1 && l.extent(l.out(), int(i)) > 1) l.mark_heads(l.out(), int(i));
}

const Op op_einsum{"Einsum", "", 1, -1, 1, 1, infer_einsum, forward_einsum, nullptr, "a sum of products over labelled axes", -1, links_einsum};

}  // namespace pare
