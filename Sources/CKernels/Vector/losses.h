// Softmax cross-entropy over rows of logits, and binary cross-entropy of each logit, with their gradients
// in place.
#include "arithmetic.h"
#include "functions.h"
#include "reductions.h"

static void CK(cross_entropy)(float *logits, const int32_t *targets, float *losses,
                                int32_t *predictions, int64_t rows, int64_t columns, float scale,
                                int gradient) {
  for (int64_t r = 0; r < rows; r++) {
    float *x = logits + r * columns;
    float largest = ck_largest(x, columns);
    int64_t best = 0;
    while (best < columns - 1 && x[best] != largest) best++;
    predictions[r] = (int32_t)best;
    int32_t target = targets[r];
    if (target < 0 || target >= columns) {
      losses[r] = 0;
      if (gradient) memset(x, 0, (size_t)columns * sizeof(float));
      continue;
    }
    float chosen = x[target];
    float sums[CK_LANES] = {0};
    float sum;
    if (gradient) {
      CK_FOR_LANES(columns, float e = ck_exp(x[i] - largest); x[i] = e; sums[j] += e;)
      sum = ck_sum_lanes(sums);
      float factor = scale / sum;
      for (int64_t c = 0; c < columns; c++) x[c] *= factor;
      x[target] -= scale;
    } else {
      CK_FOR_LANES(columns, sums[j] += ck_exp(x[i] - largest);)
      sum = ck_sum_lanes(sums);
    }
    losses[r] = ck_log(sum) + largest - chosen;
  }
}

static void CK(binary_cross_entropy)(float *logits, const float *targets, float *losses,
                                     int64_t rows, int64_t columns, float scale, int gradient) {
  for (int64_t r = 0; r < rows; r++) {
    float *x = logits + r * columns;
    const float *t = targets + r * columns;
    float sums[CK_LANES] = {0};
    CK_FOR_LANES(columns, float e = ck_exp(-fabsf(x[i]));
                 float loss = ck_fma(-x[i], t[i], x[i] > 0 ? x[i] : 0.0f) + ck_log(1.0f + e);
                 float p = (x[i] > 0 ? 1.0f : e) / (1.0f + e); sums[j] += loss;
                 x[i] = gradient ? (p - t[i]) * scale : x[i];)
    losses[r] = ck_sum_lanes(sums);
  }
}
