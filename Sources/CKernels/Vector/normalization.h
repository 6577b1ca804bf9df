// RMSNorm and LayerNorm over rows, forward and backward. The gradients of the weights are functions
// of their own: only full fine-tuning needs them.
#include "reductions.h"

static void CK(rms_norm_forward)(float *out, float *rstd, const float *in, const float *weight,
                                 int64_t T, int64_t C, float epsilon) {
  for (int64_t t = 0; t < T; t++) {
    const float *x = in + t * C;
    float *y = out + t * C;
    float squares[CK_LANES] = {0};
    CK_FOR_LANES(C, squares[j] = ck_fma(x[i], x[i], squares[j]);)
    float r = 1.0f / sqrtf(ck_sum_lanes(squares) / (float)C + epsilon);
    rstd[t] = r;
    for (int64_t c = 0; c < C; c++) y[c] = x[c] * r * weight[c];
  }
}

// With g = weight * dOut: dInput = rstd * (g - x * rstd^2 * mean(g * x)).
static void CK(rms_norm_backward)(float *dInput, const float *dOut, const float *in,
                                  const float *weight, const float *rstd, int64_t T, int64_t C,
                                  int add) {
  for (int64_t t = 0; t < T; t++) {
    const float *x = in + t * C;
    const float *dy = dOut + t * C;
    float *dx = dInput + t * C;
    float dots[CK_LANES] = {0};
    CK_FOR_LANES(C, dots[j] = ck_fma(weight[i] * dy[i], x[i], dots[j]);)
    float r = rstd[t];
    float along = r * r * r * ck_sum_lanes(dots) / (float)C;
    if (add)
      for (int64_t c = 0; c < C; c++) dx[c] += ck_fma(-along, x[c], r * (weight[c] * dy[c]));
    else if (dx == dy)  // one pointer for both: no test for overlap that would fail
      for (int64_t c = 0; c < C; c++) dx[c] = ck_fma(-along, x[c], r * (weight[c] * dx[c]));
    else
      for (int64_t c = 0; c < C; c++) dx[c] = ck_fma(-along, x[c], r * (weight[c] * dy[c]));
  }
}

static void CK(layer_norm_forward)(float *out, float *mean, float *rstd, const float *in,
                                   const float *weight, const float *bias, int64_t T, int64_t C,
                                   float epsilon) {
  for (int64_t t = 0; t < T; t++) {
    const float *x = in + t * C;
    float *y = out + t * C;
    float sums[CK_LANES] = {0}, squares[CK_LANES] = {0};
    CK_FOR_LANES(C, sums[j] += x[i];)
    float m = ck_sum_lanes(sums) / (float)C;
    CK_FOR_LANES(C, squares[j] = ck_fma(x[i] - m, x[i] - m, squares[j]);)
    float r = 1.0f / sqrtf(ck_sum_lanes(squares) / (float)C + epsilon);
    mean[t] = m;
    rstd[t] = r;
    for (int64_t c = 0; c < C; c++) y[c] = ck_fma((x[c] - m) * r, weight[c], bias[c]);
  }
}

/// rstd * (g - mean(g) - h * mean(g * h)) with g = weight * dOut and h = (x - mean) * rstd.
CK_INLINE float CK(layer_norm_slope)(float g, float x, float m, float r, float level, float along) {
  return r * ck_fma(-along, x - m, g - level);
}

static void CK(layer_norm_backward)(float *dInput, const float *dOut, const float *in,
                                    const float *weight, const float *mean, const float *rstd,
                                    int64_t T, int64_t C, int add) {
  for (int64_t t = 0; t < T; t++) {
    const float *x = in + t * C;
    const float *dy = dOut + t * C;
    float *dx = dInput + t * C;
    float m = mean[t], r = rstd[t];
    float sums[CK_LANES] = {0}, dots[CK_LANES] = {0};
    CK_FOR_LANES(C, float g = weight[i] * dy[i]; sums[j] += g;
                 dots[j] = ck_fma(g, x[i] - m, dots[j]);)
    float level = ck_sum_lanes(sums) / (float)C;
    float along = ck_sum_lanes(dots) * r * r / (float)C;
    if (add)
      for (int64_t c = 0; c < C; c++)
        dx[c] += CK(layer_norm_slope)(weight[c] * dy[c], x[c], m, r, level, along);
    else if (dx == dy)  // one pointer for both: no test for overlap that would fail
      for (int64_t c = 0; c < C; c++)
        dx[c] = CK(layer_norm_slope)(weight[c] * dx[c], x[c], m, r, level, along);
    else
      for (int64_t c = 0; c < C; c++)
        dx[c] = CK(layer_norm_slope)(weight[c] * dy[c], x[c], m, r, level, along);
  }
}

// Chains over rows in ascending order. Eight rows at a time, so that the sums are read and written
// once for eight of them.

static void CK(rms_norm_weight_gradient)(float *dWeight, const float *dOut, const float *in,
                                         const float *rstd, int64_t T, int64_t C) {
  int64_t t = 0;
  for (; t + 8 <= T; t += 8)
    for (int64_t c = 0; c < C; c++) {
      float sum = dWeight[c];
      for (int64_t r = t; r < t + 8; r++)
        sum = ck_fma(dOut[r * C + c], in[r * C + c] * rstd[r], sum);
      dWeight[c] = sum;
    }
  for (; t < T; t++)
    for (int64_t c = 0; c < C; c++)
      dWeight[c] = ck_fma(dOut[t * C + c], in[t * C + c] * rstd[t], dWeight[c]);
}

static void CK(layer_norm_weight_gradient)(float *dWeight, float *dBias, const float *dOut,
                                           const float *in, const float *mean, const float *rstd,
                                           int64_t T, int64_t C) {
  int64_t t = 0;
  for (; t + 8 <= T; t += 8)
    for (int64_t c = 0; c < C; c++) {
      float sum = dWeight[c], level = dBias[c];
      for (int64_t r = t; r < t + 8; r++) {
        float dy = dOut[r * C + c];
        sum = ck_fma(dy, (in[r * C + c] - mean[r]) * rstd[r], sum);
        level += dy;
      }
      dWeight[c] = sum;
      dBias[c] = level;
    }
  for (; t < T; t++)
    for (int64_t c = 0; c < C; c++) {
      float dy = dOut[t * C + c];
      dWeight[c] = ck_fma(dy, (in[t * C + c] - mean[t]) * rstd[t], dWeight[c]);
      dBias[c] += dy;
    }
}
