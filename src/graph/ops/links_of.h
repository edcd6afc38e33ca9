#pragma once
// The hooks of Op::links and Op::narrow (graph/links.h), which operators share.
#include "graph/links.h"
#include "graph/ops/ops.h"

namespace pare {

// links_layers.cpp
void links_conv(Links& links);
void links_conv_transpose(Links& links);
void narrow_conv(Narrowing& narrowing);
void links_gemm(Links& links);
void links_matmul(Links& links);
void links_batch_normalization(Links& links);
void links_instance_normalization(Links& links);
void links_group_normalization(Links& links);
void narrow_group_normalization(Narrowing& narrowing);
void links_layer_normalization(Links& links);  // any that normalizes the axes from `axis` on
void links_softmax(Links& links);              // any along one axis
void links_pool(Links& links);                 // windows and global
void links_grid_sample(Links& links);

// links_moves.cpp
void links_broadcast(Links& links);            // element by element, numpy's broadcasting; also of one input
void links_reshape(Links& links);              // all that keeps elements and their order
void narrow_reshape(Narrowing& narrowing);
void links_transpose(Links& links);
void links_concat(Links& links);
void links_split(Links& links);
void narrow_split(Narrowing& narrowing);
void links_slice(Links& links);
void narrow_slice(Narrowing& narrowing);
void links_pad(Links& links);
void narrow_pad(Narrowing& narrowing);
void links_expand(Links& links);
void narrow_expand(Narrowing& narrowing);
void links_tile(Links& links);
void links_depth_to_space(Links& links);
void links_space_to_depth(Links& links);
void links_resize(Links& links);
void narrow_resize(Narrowing& narrowing);
void links_gather(Links& links);
void narrow_gather(Narrowing& narrowing);
void links_reduce(Links& links);               // sums
void links_reduce_others(Links& links);        // reductions that change when a 0 is left out
void links_along_axis(Links& links);           // any that needs one axis whole: `axis`
void links_quantize(Links& links);
void links_einsum(Links& links);

}  // namespace pare
