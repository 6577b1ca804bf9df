// The vector parts of attention: softmax over a tile of scores, its backward, rotary positions.
// The products around them are ck_product calls (Kernels/Attention.swift).
#include "cellm_kernels.h"

#include <math.h>

#include "vector.h"

CK_INLINE int64_t ck_visible(int64_t columns, int64_t visible) {
  return visible < columns ? visible : columns;
}

// Rows of a causal tile end anywhere: their exponentials run in whole vectors over the columns that
// come next, and a select drops those, since scalar ends would take longer than the rest.

CK_CLONES void ck_attention_softmax(float *scores, int64_t stride, float *logSumExp, int64_t rows,
                                    int64_t columns, int64_t visible, float scale) {
  CK_REASSOCIATE
  for (int64_t r = 0; r < rows; r++) {
    float *s = scores + r * stride;
    int64_t limit = ck_visible(columns, visible + r);
    float largest = ck_largest(s, limit) * scale;
    float sums[CK_BLOCK] = {0};
    int64_t c = 0;
    for (; c < limit && c + CK_BLOCK <= columns; c += CK_BLOCK)
      for (int j = 0; j < CK_BLOCK; j++) {
        float e = ck_exp(s[c + j] * scale - largest);
        e = c + j < limit ? e : 0.0f;
        s[c + j] = e;
        sums[j] += e;
      }
    for (; c < limit; c++) sums[0] += s[c] = ck_exp(s[c] * scale - largest);
    float sum = ck_sum_lanes(sums);
    float inverse = 1.0f / sum;
    for (int64_t i = 0; i < c; i++) s[i] *= inverse;
    for (; c < columns; c++) s[c] = 0;
    logSumExp[r] = largest + logf(sum);
  }
}

CK_CLONES void ck_attention_probabilities(float *scores, int64_t stride, const float *logSumExp,
                                          int64_t rows, int64_t columns, int64_t visible,
                                          float scale) {
  for (int64_t r = 0; r < rows; r++) {
    float *s = scores + r * stride;
    int64_t limit = ck_visible(columns, visible + r);
    float level = logSumExp[r];
    int64_t c = 0;
    for (; c < limit && c + CK_BLOCK <= columns; c += CK_BLOCK)
      for (int j = 0; j < CK_BLOCK; j++) {
        float e = ck_exp(s[c + j] * scale - level);
        s[c + j] = c + j < limit ? e : 0.0f;
      }
    for (; c < limit; c++) s[c] = ck_exp(s[c] * scale - level);
    for (; c < columns; c++) s[c] = 0;
  }
}

CK_CLONES void ck_attention_score_gradient(float *dP, const float *p, int64_t stride,
                                           const float *delta, int64_t rows, int64_t columns,
                                           float scale) {
  for (int64_t r = 0; r < rows; r++) {
    float *d = dP + r * stride;
    const float *q = p + r * stride;
    float level = delta[r];
    for (int64_t c = 0; c < columns; c++) d[c] = q[c] * (d[c] - level) * scale;
  }
}

CK_CLONES void ck_row_dots(float *delta, const float *a, const float *b, int64_t stride,
                           int64_t rows, int64_t columns) {
  CK_REASSOCIATE
  for (int64_t r = 0; r < rows; r++) {
    const float *x = a + r * stride;
    const float *y = b + r * stride;
    float sum = 0;
    for (int64_t c = 0; c < columns; c++) sum += x[c] * y[c];
    delta[r] = sum;
  }
}

CK_CLONES void ck_rotary(float *x, const float *cosines, const float *sines,
                         const int32_t *positions, int64_t T, int64_t heads, int64_t D,
                         float direction) {
  int64_t half = D / 2;
  for (int64_t t = 0; t < T; t++) {
    const float *cosine = cosines + positions[t] * half;
    const float *sine = sines + positions[t] * half;
    for (int64_t h = 0; h < heads; h++) {
      float *__restrict a = x + (t * heads + h) * D;
      float *__restrict b = x + (t * heads + h) * D + half;
      for (int64_t i = 0; i < half; i++) {
        float s = direction * sine[i];
        float u = a[i], v = b[i];
        a[i] = u * cosine[i] - v * s;
        b[i] = v * cosine[i] + u * s;
      }
    }
  }
}
