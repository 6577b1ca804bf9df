// The arithmetic that all kernels are written in. Every fused operation is an explicit ck_fma,
// nothing else is fused and no sum is re-associated: then each compiler and each instruction set
// gives the same bits (docs/arithmetic.md). A kernel file is a template: each file of Levels/ that
// is named after an instruction set compiles all of them once.
#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef __FAST_MATH__
#error "kernels need the rules of IEEE 754"
#endif

#define CK_INLINE static inline __attribute__((always_inline))

CK_INLINE float ck_fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }

CK_INLINE float ck_from_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

CK_INLINE uint32_t ck_to_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}
