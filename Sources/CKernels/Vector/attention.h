// The vector parts of attention: softmax over a tile of scores, its backward, rotary positions.
// The products around them are ck_product calls (Kernels/Attention.swift).
#include "arithmetic.h"
#include "functions.h"
#include "reductions.h"

CK_INLINE int64_t ck_visible(int64_t columns, int64_t visible) {
  return visible < columns ? visible : columns;
}

/// Columns before the first that a row sees are as if their scores were minus infinity.
CK_INLINE void ck_hide(float *s, int64_t columns, int64_t hidden) {
  for (int64_t c = 0; c < hidden && c < columns; c++) s[c] = -INFINITY;
}

// Rows of a causal tile end anywhere: their exponentials run in whole vectors over the columns that
// come next, and a select drops those, since scalar ends would take longer than the rest.

/// One row; returns the sum of the exponentials and sets `largest`. A call: inlined it is slower.
static __attribute__((noinline)) float CK(softmax_row)(float *s, int64_t columns, int64_t limit,
                                                       float scale, float *largest) {
  float top = ck_largest(s, limit) * scale;
  float sums[CK_LANES] = {0};
  int64_t c = 0;
  for (; c < limit && c + CK_LANES <= columns; c += CK_LANES)
    for (int j = 0; j < CK_LANES; j++) {
      float e = ck_exp(ck_fma(s[c + j], scale, -top));
      e = c + j < limit ? e : 0.0f;
      s[c + j] = e;
      sums[j] += e;
    }
  if (c < limit) {
    float rest[CK_LANES];
    memcpy(rest, sums, sizeof rest);
    for (int j = 0; c < limit; c++, j++) rest[j] += s[c] = ck_exp(ck_fma(s[c], scale, -top));
    memcpy(sums, rest, sizeof sums);
  }
  float sum = ck_sum_lanes(sums);
  float inverse = 1.0f / sum;
  for (int64_t i = 0; i < c; i++) s[i] *= inverse;
  for (; c < columns; c++) s[c] = 0;
  *largest = top;
  return sum;
}

static void CK(attention_softmax)(float *scores, int64_t stride, float *logSumExp, int64_t rows,
                                  int64_t columns, int64_t visible, int64_t hidden,
                                  float scale) {
  // Logarithms of many rows at once are vector operations.
  enum { ROWS = 32 };
  float largest[ROWS];
  for (int64_t first = 0; first < rows; first += ROWS) {
    int64_t count = rows - first < ROWS ? rows - first : ROWS;
    for (int64_t r = 0; r < count; r++) {
      ck_hide(scores + (first + r) * stride, columns, hidden + first + r);
      logSumExp[first + r] =
          CK(softmax_row)(scores + (first + r) * stride, columns,
                          ck_visible(columns, visible + first + r), scale, &largest[r]);
    }
    for (int64_t r = 0; r < count; r++)
      logSumExp[first + r] = largest[r] + ck_log(logSumExp[first + r]);
  }
}

static void CK(attention_probabilities)(float *scores, int64_t stride, const float *logSumExp,
                                          int64_t rows, int64_t columns, int64_t visible,
                                          int64_t hidden, float scale) {
  for (int64_t r = 0; r < rows; r++) {
    float *s = scores + r * stride;
    ck_hide(s, columns, hidden + r);
    int64_t limit = ck_visible(columns, visible + r);
    float level = logSumExp[r];
    int64_t c = 0;
    for (; c < limit && c + CK_LANES <= columns; c += CK_LANES)
      for (int j = 0; j < CK_LANES; j++) {
        float e = ck_exp(ck_fma(s[c + j], scale, -level));
        s[c + j] = c + j < limit ? e : 0.0f;
      }
    for (; c < limit; c++) s[c] = ck_exp(ck_fma(s[c], scale, -level));
    for (; c < columns; c++) s[c] = 0;
  }
}

static void CK(attention_score_gradient)(float *dP, const float *p, int64_t stride,
                                           const float *delta, int64_t rows, int64_t columns,
                                           float scale) {
  for (int64_t r = 0; r < rows; r++) {
    float *d = dP + r * stride;
    const float *q = p + r * stride;
    float level = delta[r];
    for (int64_t c = 0; c < columns; c++) d[c] = q[c] * (d[c] - level) * scale;
  }
}

static void CK(row_dots)(float *delta, const float *a, const float *b, int64_t stride,
                           int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; r++) {
    const float *x = a + r * stride;
    const float *y = b + r * stride;
    float sums[CK_LANES] = {0};
    CK_FOR_LANES(columns, sums[j] = ck_fma(x[i], y[i], sums[j]);)
    delta[r] = ck_sum_lanes(sums);
  }
}

static void CK(rotary)(float *x, const float *cosines, const float *sines,
                         const int32_t *positions, int64_t T, int64_t heads, int64_t D,
                         int64_t rotated, float direction) {
  int64_t half = rotated / 2;
  for (int64_t t = 0; t < T; t++) {
    const float *cosine = cosines + positions[t] * half;
    const float *sine = sines + positions[t] * half;
    for (int64_t h = 0; h < heads; h++) {
      float *__restrict a = x + (t * heads + h) * D;
      float *__restrict b = x + (t * heads + h) * D + half;
      for (int64_t i = 0; i < half; i++) {
        float s = direction * sine[i];
        float u = a[i], v = b[i];
        a[i] = ck_fma(-v, s, u * cosine[i]);
        b[i] = ck_fma(u, s, v * cosine[i]);
      }
    }
  }
}
