// Sums and maxima over a row, in the one order that docs/arithmetic.md describes: element i goes to
// lane i mod 32, each lane is one chain in ascending i, and the lanes are added by halves.
#pragma once

#include "arithmetic.h"

enum { CK_LANES = 32 };

/// Runs STATEMENT once for each i in 0..<n, with j = i mod 32: whole blocks, then the rest. Lanes
/// have constant indices, so that they stay in registers.
#define CK_FOR_LANES(n, STATEMENT)                                                                 \
  {                                                                                                \
    int64_t block = 0;                                                                             \
    for (; block + CK_LANES <= (n); block += CK_LANES)                                             \
      for (int j = 0; j < CK_LANES; j++) {                                                         \
        int64_t i = block + j;                                                                     \
        STATEMENT                                                                                  \
      }                                                                                            \
    if (block < (n))                                                                               \
      for (int j = 0; j < CK_LANES; j++) {                                                         \
        int64_t i = block + j;                                                                     \
        if (i < (n)) { STATEMENT }                                                                 \
      }                                                                                            \
  }

typedef float CKSixteen __attribute__((vector_size(64)));
typedef float CKEight __attribute__((vector_size(32)));
typedef float CKFour __attribute__((vector_size(16)));

/// Lane j += lane j + 16, then + 8, + 4, + 2, + 1: the sum is lane 0.
CK_INLINE float ck_sum_lanes(const float *lanes) {
  CKSixteen x, y;
  memcpy(&x, lanes, sizeof x);
  memcpy(&y, lanes + 16, sizeof y);
  x += y;
  CKEight eight = __builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7) +
                  __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15);
  CKFour four = __builtin_shufflevector(eight, eight, 0, 1, 2, 3) +
                __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
  CKFour two = four + __builtin_shufflevector(four, four, 2, 3, 2, 3);
  return two[0] + two[1];
}

CK_INLINE float ck_larger(float a, float b) { return a > b ? a : b; }

/// The largest of n elements: NaNs are passed over, and the largest of none is -infinity. -0 counts
/// as +0, so that the order of comparisons changes nothing. The rest's block overlaps the one
/// before it.
CK_INLINE float ck_largest(const float *x, int64_t n) {
  float lanes[CK_LANES];
  for (int j = 0; j < CK_LANES; j++) lanes[j] = -INFINITY;
  if (n < CK_LANES) {
    for (int j = 0; j < CK_LANES; j++)
      if (j < n) lanes[j] = ck_larger(x[j], lanes[j]);
  } else {
    for (int64_t i = 0; i < n; i += CK_LANES) {
      const float *block = x + (i + CK_LANES <= n ? i : n - CK_LANES);
      for (int j = 0; j < CK_LANES; j++) lanes[j] = ck_larger(block[j], lanes[j]);
    }
  }
  float half[16], four[4];
  for (int j = 0; j < 16; j++) half[j] = ck_larger(lanes[j + 16], lanes[j]);
  for (int j = 0; j < 4; j++)
    four[j] = ck_larger(ck_larger(half[j + 12], half[j + 8]), ck_larger(half[j + 4], half[j]));
  return ck_larger(ck_larger(four[3], four[2]), ck_larger(four[1], four[0])) + 0.0f;
}
