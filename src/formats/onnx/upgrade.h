#pragma once
#include <optional>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace pare {

// One node on its way to a newer operator set. Nodes of the graph that stand before it are raised already, later ones are
// not in the graph yet; what must run before the node is appended to the graph, what must run after it goes to `after`.
class NodeUpgrade {
 public:
  NodeUpgrade(Graph& graph, Node& node, int64_t target) : graph_(graph), node_(node), target_(target) {}
  Graph& graph() { return graph_; }
  Node& node() { return node_; }
  std::vector<Node>& after() { return after_; }

  template <class T>
  std::optional<T> take(const std::string& key) {   // the attribute, which the node then no longer has
    if (!node_.has(key)) return std::nullopt;
    T value = node_.get<T>(key, T());
    node_.attributes.erase(key);
    return value;
  }
  void rename(const char* op_type);
  void set_input(size_t position, ValueId id);
  ValueId constant(const std::string& what, Array array);   // named after the node's result
  // The result of a new node of one result, which runs before this one.
  ValueId before(const char* op_type, std::vector<ValueId> inputs, const std::string& what);
  const Shape* shape(ValueId id);   // declared or inferred; null where neither knows
  Type type(ValueId id);
  [[noreturn]] void fail(const std::string& problem) const;

 private:
  void infer_once();
  Graph& graph_;
  Node& node_;
  int64_t target_;
  std::vector<Node> after_;
  bool inferred_ = false;
};

// A change of an operator's meaning: nodes of `op` (null: of any) written for versions below `since`.
struct UpgradeRow {
  const char* op;
  int since;
  void (*raise)(NodeUpgrade& upgrade);
};
extern const std::vector<UpgradeRow> kUpgradesTo10, kUpgradesTo13, kUpgradesBeyond13;

}  // namespace pare
