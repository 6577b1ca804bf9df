// The vector kernels with AVX2 and FMA.
#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("arch=x86-64-v3"))), apply_to = function)
#else
#pragma GCC target("arch=x86-64-v3")
#endif

#pragma STDC FP_CONTRACT OFF
#define CK(name) name##_avx2
#define CK_TABLE ck_kernels_avx2
#include "kernels.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
