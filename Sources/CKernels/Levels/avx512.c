// All kernels with AVX-512. levels.c asks for the same features. (With arch=x86-64-v4 in place of
// features, clang prefers vectors of 256 bits.)
#if defined(__x86_64__)
#include "contraction.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target(                                                \
    "avx2,fma,bmi,bmi2,avx512f,avx512bw,avx512cd,avx512dq,avx512vl"))),                            \
                             apply_to = function)
#else
#pragma GCC target(                                                                                \
    "avx2,fma,bmi,bmi2,avx512f,avx512bw,avx512cd,avx512dq,avx512vl,prefer-vector-width=512")
#endif

#define CK(name) name##_avx512
#define CK_TABLE ck_kernels_avx512
#include "../Products/tiles_avx512.h"
#include "kernels.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
