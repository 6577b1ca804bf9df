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

/// exp(x) within 2 units in the last place; 0 below -87.3, inf-free above 88.3 (clamped).
/// x = n ln 2 + r with |r| <= ln 2 / 2 (Cody & Waite 1980), a degree 6 polynomial for exp(r).
CK_INLINE float ck_exp(float x) {
  const float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  float clamped = x < -87.33654f ? -87.33654f : x;
  clamped = clamped > 88.37626f ? 88.37626f : clamped;
  float shifted = clamped * 1.44269504f + magic;
  float n = shifted - magic;
  float r = clamped - n * 0.693359375f;
  r = r + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  float power = ck_from_bits((ck_to_bits(shifted) - ck_to_bits(magic) + 127u) << 23);
  float result = p * power;
  result = x < -87.33654f ? 0.0f : result;
  return x != x ? x : result;
}

/// The largest of n >= 1 elements. Comparisons do not re-associate by themselves, hence the lanes.
CK_INLINE float ck_largest(const float *x, int64_t n) {
  float lanes[32];
  for (int j = 0; j < 32; j++) lanes[j] = x[0];
  int64_t i = 0;
  for (; i + 32 <= n; i += 32)
    for (int j = 0; j < 32; j++) lanes[j] = x[i + j] > lanes[j] ? x[i + j] : lanes[j];
  for (; i < n; i++) lanes[0] = x[i] > lanes[0] ? x[i] : lanes[0];
  for (int j = 1; j < 32; j++) lanes[0] = lanes[j] > lanes[0] ? lanes[j] : lanes[0];
  return lanes[0];
}
