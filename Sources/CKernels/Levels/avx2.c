// All kernels with AVX2 and FMA. levels.c asks for the same features.
#if defined(__x86_64__)
#include "contraction.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target(                                                \
    "avx2,fma,bmi,bmi2"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,bmi,bmi2")
#endif

#define CK(name) name##_avx2
#define CK_TABLE ck_kernels_avx2
#include "../Products/tiles_avx2.h"
#include "kernels.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
