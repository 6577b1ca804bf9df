// Products with a small dimension, without packing: LoRA's (one dimension is its rank) and those of
// attention tiles. A general sgemm first copies both operands into panels, which such products pay
// for and never earn back. Here a tile of `out` lives in registers, `b` is read as vectors where it
// lies and `a` as broadcast scalars with any strides; only a transposed `b` is turned, a block of at
// most CK_INNER x CK_TILE_COLUMNS at a time. AVX-512 only: elsewhere the caller uses sgemm.
#include "cellm_kernels.h"

#include "vector.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define CK_WIDE __attribute__((target("arch=x86-64-v4")))
#define CK_WIDE_INLINE static inline __attribute__((always_inline, target("arch=x86-64-v4")))

enum { CK_TILE_ROWS = 8, CK_TILE_COLUMNS = 32, CK_INNER = 256 };

/// out (rows <= 8, 16 * vectors columns) (+)= alpha * a b over `inner`; the last vector is masked.
CK_WIDE_INLINE void ck_tile(float *out, int64_t stride, const float *a, int64_t aRow,
                            int64_t aInner, const float *b, int64_t bStride, int64_t inner,
                            float alpha, int add, const int rows, const int vectors,
                            __mmask16 mask) {
  __m512 sums[CK_TILE_ROWS][2];
#pragma clang loop unroll(full)
  for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++) sums[r][v] = _mm512_setzero_ps();
  for (int64_t k = 0; k < inner; k++) {
    __m512 columns[2];
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++)
      columns[v] = v == vectors - 1 ? _mm512_maskz_loadu_ps(mask, b + k * bStride + 16 * v)
                                    : _mm512_loadu_ps(b + k * bStride + 16 * v);
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++) {
      __m512 value = _mm512_set1_ps(a[r * aRow + k * aInner]);
#pragma clang loop unroll(full)
      for (int v = 0; v < vectors; v++)
        sums[r][v] = _mm512_fmadd_ps(value, columns[v], sums[r][v]);
    }
  }
  __m512 scale = _mm512_set1_ps(alpha);
#pragma clang loop unroll(full)
  for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++) {
      __mmask16 kept = v == vectors - 1 ? mask : (__mmask16)0xffff;
      float *target = out + r * stride + 16 * v;
      __m512 before = add ? _mm512_maskz_loadu_ps(kept, target) : _mm512_setzero_ps();
      _mm512_mask_storeu_ps(target, kept, _mm512_fmadd_ps(sums[r][v], scale, before));
    }
}

/// All rows of one block of columns.
CK_WIDE_INLINE void ck_columns(float *out, int64_t stride, int64_t rows, const float *a,
                               int64_t aRow, int64_t aInner, const float *b, int64_t bStride,
                               int64_t inner, float alpha, int add, const int vectors,
                               __mmask16 mask) {
  int64_t r = 0;
  for (; r + CK_TILE_ROWS <= rows; r += CK_TILE_ROWS)
    ck_tile(out + r * stride, stride, a + r * aRow, aRow, aInner, b, bStride, inner, alpha, add,
            CK_TILE_ROWS, vectors, mask);
  if (r + 4 <= rows) {
    ck_tile(out + r * stride, stride, a + r * aRow, aRow, aInner, b, bStride, inner, alpha, add, 4,
            vectors, mask);
    r += 4;
  }
  for (; r < rows; r++)
    ck_tile(out + r * stride, stride, a + r * aRow, aRow, aInner, b, bStride, inner, alpha, add, 1,
            vectors, mask);
}

/// turned (inner, columns <= 32) = b^T, `b` being (columns, inner): squares of 16, in three rounds of
/// shuffles that exchange neighbours, pairs, and lanes of four.
CK_WIDE_INLINE void ck_turn(float *turned, const float *b, int64_t bStride, int64_t columns,
                            int64_t inner) {
  for (int64_t first = 0; first < columns; first += 16)
    for (int64_t k = 0; k < inner; k += 16) {
      int64_t rows = columns - first < 16 ? columns - first : 16;
      int64_t depth = inner - k < 16 ? inner - k : 16;
      __mmask16 mask = (__mmask16)(0xffffu >> (16 - depth));
      __m512 x[16], y[16];
      for (int i = 0; i < 16; i++)
        x[i] = i < rows ? _mm512_maskz_loadu_ps(mask, b + (first + i) * bStride + k)
                        : _mm512_setzero_ps();
#pragma clang loop unroll(full)
      for (int i = 0; i < 16; i += 2) {
        y[i] = _mm512_unpacklo_ps(x[i], x[i + 1]);
        y[i + 1] = _mm512_unpackhi_ps(x[i], x[i + 1]);
      }
#pragma clang loop unroll(full)
      for (int i = 0; i < 16; i += 4)
#pragma clang loop unroll(full)
        for (int j = 0; j < 2; j++) {
          __m512d low = _mm512_castps_pd(y[i + j]), high = _mm512_castps_pd(y[i + j + 2]);
          x[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high));
          x[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
        }
#pragma clang loop unroll(full)
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
      for (int64_t i = 0; i < depth; i++)
        _mm512_store_ps(turned + (k + i) * CK_TILE_COLUMNS + first, y[i]);
    }
}

CK_WIDE static void ck_wide_product(float *out, int64_t stride, int64_t rows, int64_t columns,
                                    int64_t inner, const float *a, int64_t aRow, int64_t aInner,
                                    const float *b, int64_t bStride, int transposeB, float alpha,
                                    int add) {
  float turned[CK_INNER * CK_TILE_COLUMNS] __attribute__((aligned(64)));
  for (int64_t k = 0; k < inner; k += CK_INNER) {
    int64_t depth = inner - k < CK_INNER ? inner - k : CK_INNER;
    int sum = add || k > 0;
    for (int64_t c = 0; c < columns; c += CK_TILE_COLUMNS) {
      int64_t width = columns - c < CK_TILE_COLUMNS ? columns - c : CK_TILE_COLUMNS;
      const float *block = b + k * bStride + c;
      int64_t blockStride = bStride;
      if (transposeB) {
        ck_turn(turned, b + c * bStride + k, bStride, width, depth);
        block = turned;
        blockStride = CK_TILE_COLUMNS;
      }
      int64_t rest = (width - 1) % 16 + 1;
      __mmask16 mask = (__mmask16)(0xffffu >> (16 - rest));
      if (width > 16)
        ck_columns(out + c, stride, rows, a + k * aInner, aRow, aInner, block, blockStride, depth,
                   alpha, sum, 2, mask);
      else
        ck_columns(out + c, stride, rows, a + k * aInner, aRow, aInner, block, blockStride, depth,
                   alpha, sum, 1, mask);
    }
  }
}

int ck_has_small_product(void) { return __builtin_cpu_supports("avx512f") != 0; }

void ck_small_product(float *out, int64_t stride, int64_t rows, int64_t columns, int64_t inner,
                      const float *a, int64_t aRow, int64_t aInner, const float *b,
                      int64_t bStride, int transposeB, float alpha, int add) {
  ck_wide_product(out, stride, rows, columns, inner, a, aRow, aInner, b, bStride, transposeB, alpha,
                  add);
}

#else

int ck_has_small_product(void) { return 0; }

void ck_small_product(float *out, int64_t stride, int64_t rows, int64_t columns, int64_t inner,
                      const float *a, int64_t aRow, int64_t aInner, const float *b,
                      int64_t bStride, int transposeB, float alpha, int add) {
  for (int64_t r = 0; r < rows; r++)
    for (int64_t c = 0; c < columns; c++) {
      float sum = 0;
      for (int64_t k = 0; k < inner; k++)
        sum += a[r * aRow + k * aInner] * (transposeB ? b[c * bStride + k] : b[k * bStride + c]);
      out[r * stride + c] = (add ? out[r * stride + c] : 0.0f) + alpha * sum;
    }
}

#endif
