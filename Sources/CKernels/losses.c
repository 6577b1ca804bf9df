// Softmax cross-entropy over rows of logits, with its gradient in place.
#include "cellm_kernels.h"

#include <math.h>

#include "vector.h"

CK_CLONES void ck_cross_entropy(float *logits, const int32_t *targets, float *losses,
                                int32_t *predictions, int64_t rows, int64_t columns, float scale,
                                int gradient) {
  CK_REASSOCIATE
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
    float sum = 0;
    if (gradient) {
      for (int64_t c = 0; c < columns; c++) {
        float e = ck_exp(x[c] - largest);
        x[c] = e;
        sum += e;
      }
      float factor = scale / sum;
      for (int64_t c = 0; c < columns; c++) x[c] *= factor;
      x[target] -= scale;
    } else {
      for (int64_t c = 0; c < columns; c++) sum += ck_exp(x[c] - largest);
    }
    losses[r] = logf(sum) + largest - chosen;
  }
}
