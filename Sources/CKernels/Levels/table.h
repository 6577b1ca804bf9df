// A table of the kernels for each instruction set.
#pragma once

#include "../Products/products.h"
#include "../include/cellm_kernels.h"

typedef struct {
#define CK_KERNEL(name) __typeof__(ck_##name) *name;
#include "list.h"
#undef CK_KERNEL
  /// `packed` has CK_DEPTH * CK_BLOCK_COLUMNS floats.
  void (*product)(const CKProduct *p, float *packed);
} CKKernels;

extern const CKKernels ck_kernels_fma, ck_kernels_avx2, ck_kernels_avx512;

/// The table of the instruction set in use.
const CKKernels *ck_kernels(void);
