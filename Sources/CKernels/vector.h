// What the kernels share: the clones attribute and an exponential that vectorizes.
#pragma once

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#define CK_CLONES                                                                                  \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CK_CLONES
#endif

#define CK_INLINE static inline __attribute__((always_inline))

/// Sums in this scope may be re-associated: without it no reduction vectorizes.
#define CK_REASSOCIATE _Pragma("clang fp reassociate(on) contract(fast)")

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

/// exp(x) within 2 units in the last place; 0 below -87.7, at most exp(88.38); NaN stays NaN.
/// x = n ln 2 + r with |r| <= ln 2 / 2 (Cody & Waite 1980), exp(r) = 1 + r + r^2 q(r) with a minimax
/// polynomial q of degree 4. At -87.7, n is -127 and the power's bits are those of 0: no select.
CK_INLINE float ck_exp(float x) {
  const float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  float clamped = x < -87.7f ? -87.7f : x;
  clamped = clamped > 88.37626f ? 88.37626f : clamped;
  float shifted = clamped * 1.44269504f + magic;
  float n = shifted - magic;
  float r = clamped - n * 0.693359375f;
  r = r + n * 2.12194440e-4f;
  float q = 1.3814539990e-03f;
  q = q * r + 8.3687451164e-03f;
  q = q * r + 4.1668390787e-02f;
  q = q * r + 1.6666520399e-01f;
  q = q * r + 4.9999993432e-01f;
  float p = q * (r * r) + r + 1.0f;
  return p * ck_from_bits((ck_to_bits(shifted) - ck_to_bits(magic) + 127u) << 23);
}

/// Elements that a loop with its own remainder takes at a time: two vectors of AVX-512.
enum { CK_BLOCK = 32 };

/// The largest and the sum of a block's lanes, by halves: one after the other takes 31 latencies.
CK_INLINE float ck_largest_lane(float *lanes) {
  for (int width = CK_BLOCK / 2; width > 0; width /= 2)
    for (int j = 0; j < width; j++)
      lanes[j] = lanes[j + width] > lanes[j] ? lanes[j + width] : lanes[j];
  return lanes[0];
}
CK_INLINE float ck_sum_lanes(float *lanes) {
  for (int width = CK_BLOCK / 2; width > 0; width /= 2)
    for (int j = 0; j < width; j++) lanes[j] += lanes[j + width];
  return lanes[0];
}

/// The largest of n >= 1 elements. Comparisons do not re-associate by themselves, hence the lanes.
/// The remainder's block overlaps the one before it.
CK_INLINE float ck_largest(const float *x, int64_t n) {
  float lanes[CK_BLOCK];
  for (int j = 0; j < CK_BLOCK; j++) lanes[j] = x[0];
  if (n < CK_BLOCK) {
    for (int64_t i = 1; i < n; i++) lanes[i] = x[i];
    return ck_largest_lane(lanes);
  }
  for (int64_t i = 0; i < n; i += CK_BLOCK) {
    const float *block = x + (i + CK_BLOCK <= n ? i : n - CK_BLOCK);
    for (int j = 0; j < CK_BLOCK; j++) lanes[j] = block[j] > lanes[j] ? block[j] : lanes[j];
  }
  return ck_largest_lane(lanes);
}
