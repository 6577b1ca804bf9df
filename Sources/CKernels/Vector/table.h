// A table of the vector kernels for each instruction set.
#pragma once

#include "../include/cellm_kernels.h"

typedef struct {
#define CK_KERNEL(name) __typeof__(ck_##name) *name;
#include "list.h"
#undef CK_KERNEL
} CKKernels;

extern const CKKernels ck_kernels_fma, ck_kernels_avx2, ck_kernels_avx512;
