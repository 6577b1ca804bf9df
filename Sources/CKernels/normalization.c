// RMSNorm and LayerNorm over rows, forward and backward. The gradients of the weights are functions
// of their own: only full fine-tuning needs them.
#include "cellm_kernels.h"

#include <math.h>

#include "vector.h"

CK_CLONES void ck_rms_norm_forward(float *out, float *rstd, const float *in, const float *weight,
                                   int64_t T, int64_t C, float epsilon) {
  CK_REASSOCIATE
  for (int64_t t = 0; t < T; t++) {
    const float *x = in + t * C;
    float *y = out + t * C;
    float sum = 0;
    for (int64_t c = 0; c < C; c++) sum += x[c] * x[c];
    float r = 1.0f / sqrtf(sum / (float)C + epsilon);
    rstd[t] = r;
    for (int64_t c = 0; c < C; c++) y[c] = x[c] * r * weight[c];
  }
}

// With g = weight * dOut: dInput = rstd * (g - x * rstd^2 * mean(g * x)).
CK_CLONES void ck_rms_norm_backward(float *dInput, const float *dOut, const float *in,
                                    const float *weight, const float *rstd, int64_t T, int64_t C,
                                    int add) {
  CK_REASSOCIATE
  for (int64_t t = 0; t < T; t++) {
    const float *x = in + t * C;
    const float *dy = dOut + t * C;
    float *dx = dInput + t * C;
    float dot = 0;
    for (int64_t c = 0; c < C; c++) dot += weight[c] * dy[c] * x[c];
    float r = rstd[t];
    float along = r * r * r * dot / (float)C;
    if (add)
      for (int64_t c = 0; c < C; c++) dx[c] += r * weight[c] * dy[c] - along * x[c];
    else if (dx == dy)  // one pointer for both: no test for overlap that would fail
      for (int64_t c = 0; c < C; c++) dx[c] = r * weight[c] * dx[c] - along * x[c];
    else
      for (int64_t c = 0; c < C; c++) dx[c] = r * weight[c] * dy[c] - along * x[c];
  }
}

CK_CLONES void ck_layer_norm_forward(float *out, float *mean, float *rstd, const float *in,
                                     const float *weight, const float *bias, int64_t T, int64_t C,
                                     float epsilon) {
  CK_REASSOCIATE
  for (int64_t t = 0; t < T; t++) {
    const float *x = in + t * C;
    float *y = out + t * C;
    float sum = 0;
    for (int64_t c = 0; c < C; c++) sum += x[c];
    float m = sum / (float)C;
    float squares = 0;
    for (int64_t c = 0; c < C; c++) squares += (x[c] - m) * (x[c] - m);
    float r = 1.0f / sqrtf(squares / (float)C + epsilon);
    mean[t] = m;
    rstd[t] = r;
    for (int64_t c = 0; c < C; c++) y[c] = (x[c] - m) * r * weight[c] + bias[c];
  }
}

// With g = weight * dOut and h = (x - mean) * rstd: dInput = rstd * (g - mean(g) - h * mean(g * h)).
CK_CLONES void ck_layer_norm_backward(float *dInput, const float *dOut, const float *in,
                                      const float *weight, const float *mean, const float *rstd,
                                      int64_t T, int64_t C, int add) {
  CK_REASSOCIATE
  for (int64_t t = 0; t < T; t++) {
    const float *x = in + t * C;
    const float *dy = dOut + t * C;
    float *dx = dInput + t * C;
    float m = mean[t], r = rstd[t];
    float sum = 0, dot = 0;
    for (int64_t c = 0; c < C; c++) {
      float g = weight[c] * dy[c];
      sum += g;
      dot += g * (x[c] - m);
    }
    float level = sum / (float)C;
    float along = dot * r * r / (float)C;
    if (add)
      for (int64_t c = 0; c < C; c++)
        dx[c] += r * (weight[c] * dy[c] - level - (x[c] - m) * along);
    else if (dx == dy)  // one pointer for both: no test for overlap that would fail
      for (int64_t c = 0; c < C; c++)
        dx[c] = r * (weight[c] * dx[c] - level - (x[c] - m) * along);
    else
      for (int64_t c = 0; c < C; c++)
        dx[c] = r * (weight[c] * dy[c] - level - (x[c] - m) * along);
  }
}

// Eight rows at a time, so that the sums over rows are read and written once for eight of them.

CK_CLONES void ck_rms_norm_weight_gradient(float *dWeight, const float *dOut, const float *in,
                                           const float *rstd, int64_t T, int64_t C) {
  int64_t t = 0;
  for (; t + 8 <= T; t += 8)
    for (int64_t c = 0; c < C; c++) {
      float sum = 0;
      for (int64_t r = t; r < t + 8; r++) sum += dOut[r * C + c] * in[r * C + c] * rstd[r];
      dWeight[c] += sum;
    }
  for (; t < T; t++)
    for (int64_t c = 0; c < C; c++) dWeight[c] += dOut[t * C + c] * in[t * C + c] * rstd[t];
}

CK_CLONES void ck_layer_norm_weight_gradient(float *dWeight, float *dBias, const float *dOut,
                                             const float *in, const float *mean, const float *rstd,
                                             int64_t T, int64_t C) {
  int64_t t = 0;
  for (; t + 8 <= T; t += 8)
    for (int64_t c = 0; c < C; c++) {
      float sum = 0, level = 0;
      for (int64_t r = t; r < t + 8; r++) {
        float dy = dOut[r * C + c];
        sum += dy * (in[r * C + c] - mean[r]) * rstd[r];
        level += dy;
      }
      dWeight[c] += sum;
      dBias[c] += level;
    }
  for (; t < T; t++)
    for (int64_t c = 0; c < C; c++) {
      float dy = dOut[t * C + c];
      dWeight[c] += dy * (in[t * C + c] - mean[t]) * rstd[t];
      dBias[c] += dy;
    }
}
