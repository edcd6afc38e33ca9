#include "graph/simplify.h"
#include "passes/pass.h"

namespace pare {
namespace {

struct FoldConstants {
  double most_megabytes = 64;
  static std::vector<Field> fields() {
    return FieldList<FoldConstants>()
        .number("most-megabytes", &FoldConstants::most_megabytes, 0, 4096, "MB", "a result larger than this is left to be computed, so that the file does not grow")
        .take();
  }
};

void run(Graph& graph, const FoldConstants& options, PassRun& pass) {
  pass.changed = remove_no_ops(graph);
  pass.changed += fold_constants(graph, int64_t(options.most_megabytes * 1e6));
}

}  // namespace

Pass pass_fold_constants() {
  return declare_pass<FoldConstants>("fold-constants", "Computes what depends on constants alone and removes what does nothing (Identity, Dropout, unread results).",
                                     "common compiler practice", true, run);
}

}  // namespace pare
