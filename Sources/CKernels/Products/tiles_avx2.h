// Tiles of 6 x 16 outputs, with AVX2 and FMA.
#include <immintrin.h>

#define CK_VECTOR __m256
#define CK_WIDTH 8
#define CK_ROWS 6
#define CK_LOAD(p) _mm256_loadu_ps(p)
#define CK_STORE(p, v) _mm256_storeu_ps(p, v)
#define CK_SPREAD(x) _mm256_set1_ps(x)
#define CK_ADD(a, b) _mm256_add_ps(a, b)
#define CK_FUSED(a, b, c) _mm256_fmadd_ps(a, b, c)
#define CK_TURN ck_turn_8

/// Three rounds of shuffles exchange neighbours, pairs, and halves.
static inline __attribute__((always_inline)) void ck_turn_8(float *to, const float *from,
                                                            int64_t stride) {
  __m256 x[8], y[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; i++) x[i] = _mm256_loadu_ps(from + i * stride);
#pragma GCC unroll 8
  for (int i = 0; i < 8; i += 2) {
    y[i] = _mm256_unpacklo_ps(x[i], x[i + 1]);
    y[i + 1] = _mm256_unpackhi_ps(x[i], x[i + 1]);
  }
#pragma GCC unroll 8
  for (int i = 0; i < 8; i += 4) {
#pragma GCC unroll 2
    for (int j = 0; j < 2; j++) {
      x[i + 2 * j] = _mm256_shuffle_ps(y[i + j], y[i + j + 2], 0x44);
      x[i + 2 * j + 1] = _mm256_shuffle_ps(y[i + j], y[i + j + 2], 0xee);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < 4; i++) {
    _mm256_storeu_ps(to + i * 16, _mm256_permute2f128_ps(x[i], x[i + 4], 0x20));
    _mm256_storeu_ps(to + (i + 4) * 16, _mm256_permute2f128_ps(x[i], x[i + 4], 0x31));
  }
}
