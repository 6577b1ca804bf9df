// Sums along rows and columns, and rounding to bf16.
#include "arithmetic.h"

static void CK(add_bias)(float *x, const float *bias, int64_t T, int64_t C) {
  for (int64_t t = 0; t < T; t++) {
    float *row = x + t * C;
    for (int64_t c = 0; c < C; c++) row[c] += bias[c];
  }
}

static void CK(bias_gradient)(float *dBias, const float *dOut, int64_t T, int64_t C) {
  for (int64_t t = 0; t < T; t++) {
    const float *row = dOut + t * C;
    for (int64_t c = 0; c < C; c++) dBias[c] += row[c];
  }
}

static void CK(add)(float *x, const float *y, int64_t n) {
  for (int64_t i = 0; i < n; i++) x[i] += y[i];
}

static int CK(all_finite)(const float *x, int64_t n) {
  uint32_t bad = 0;
  for (int64_t i = 0; i < n; i++) bad |= ((ck_to_bits(x[i]) & 0x7f800000u) == 0x7f800000u);
  return bad == 0;
}

static void CK(triad)(float *a, const float *b, const float *c, int64_t n) {
  for (int64_t i = 0; i < n; i++) a[i] = ck_fma(0.5f, c[i], b[i]);
}

// In integers, so that every CPU rounds alike: AVX512-BF16's own instruction flushes subnormals.
static void CK(round_to_bf16)(uint16_t *out, const float *in, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    uint32_t bits = ck_to_bits(in[i]);
    uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
    uint32_t quiet = bits >> 16 | 0x40u;
    out[i] = (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
  }
}
