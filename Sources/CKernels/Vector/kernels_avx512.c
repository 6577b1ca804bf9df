// The vector kernels with AVX-512.
#if defined(__x86_64__)
#if defined(__clang__)
// Features in place of arch=x86-64-v4, for which clang prefers vectors of 256 bits.
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx2,fma,bmi,bmi2,avx512f,avx512bw,avx512cd,avx512dq,avx512vl"))),       \
    apply_to = function)
#else
#pragma GCC target("arch=x86-64-v4,prefer-vector-width=512")
#endif

#pragma STDC FP_CONTRACT OFF
#define CK(name) name##_avx512
#define CK_TABLE ck_kernels_avx512
#include "kernels.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
