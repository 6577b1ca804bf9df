// Tiles of 12 x 32 outputs, with AVX-512.
#include <immintrin.h>

#define CK_VECTOR __m512
#define CK_WIDTH 16
#define CK_ROWS 12
#define CK_LOAD(p) _mm512_loadu_ps(p)
#define CK_STORE(p, v) _mm512_storeu_ps(p, v)
#define CK_SPREAD(x) _mm512_set1_ps(x)
#define CK_ADD(a, b) _mm512_add_ps(a, b)
#define CK_FUSED(a, b, c) _mm512_fmadd_ps(a, b, c)
#define CK_TURN ck_turn_16

/// Three rounds of shuffles exchange neighbours, pairs, and lanes of four.
static inline __attribute__((always_inline)) void ck_turn_16(float *to, const float *from,
                                                             int64_t stride) {
  __m512 x[16], y[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; i++) x[i] = _mm512_loadu_ps(from + i * stride);
#pragma GCC unroll 16
  for (int i = 0; i < 16; i += 2) {
    y[i] = _mm512_unpacklo_ps(x[i], x[i + 1]);
    y[i + 1] = _mm512_unpackhi_ps(x[i], x[i + 1]);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; i += 4) {
#pragma GCC unroll 2
    for (int j = 0; j < 2; j++) {
      __m512d low = _mm512_castps_pd(y[i + j]), high = _mm512_castps_pd(y[i + j + 2]);
      x[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high));
      x[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    __m512 even = _mm512_shuffle_f32x4(x[i], x[i + 4], 0x88);
    __m512 odd = _mm512_shuffle_f32x4(x[i], x[i + 4], 0xdd);
    __m512 evenBehind = _mm512_shuffle_f32x4(x[i + 8], x[i + 12], 0x88);
    __m512 oddBehind = _mm512_shuffle_f32x4(x[i + 8], x[i + 12], 0xdd);
    y[i] = _mm512_shuffle_f32x4(even, evenBehind, 0x88);
    y[i + 4] = _mm512_shuffle_f32x4(odd, oddBehind, 0x88);
    y[i + 8] = _mm512_shuffle_f32x4(even, evenBehind, 0xdd);
    y[i + 12] = _mm512_shuffle_f32x4(odd, oddBehind, 0xdd);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; i++) _mm512_storeu_ps(to + i * 32, y[i]);
}
