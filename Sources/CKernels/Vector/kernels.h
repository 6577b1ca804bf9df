// The vector kernels of one instruction set: CK(name) and CK_TABLE are defined before.
#include "table.h"

#include "activations.h"
#include "attention.h"
#include "elementwise.h"
#include "losses.h"
#include "normalization.h"
#include "widening.h"

const CKKernels CK_TABLE = {
#define CK_KERNEL(name) .name = CK(name),
#include "list.h"
#undef CK_KERNEL
};
