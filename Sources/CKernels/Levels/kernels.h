// All kernels of one instruction set. Before this file is included, CK(name) and CK_TABLE are
// defined, and what Products/product_blocks.h asks for.
#include "table.h"

#include "../Products/product_blocks.h"
#include "../Vector/activations.h"
#include "../Vector/attention.h"
#include "../Vector/elementwise.h"
#include "../Vector/losses.h"
#include "../Vector/normalization.h"
#include "../Vector/widening.h"

const CKKernels CK_TABLE = {
#define CK_KERNEL(name) .name = CK(name),
#include "list.h"
#undef CK_KERNEL
    .product = CK(product),
};
