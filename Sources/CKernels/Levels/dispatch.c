// Calls of the kernels with the instruction set in use.
#include "table.h"

const CKKernels *ck_kernels(void) {
  switch (ck_level()) {
#if defined(__x86_64__)
  case CK_LEVEL_AVX512: return &ck_kernels_avx512;
  case CK_LEVEL_AVX2: return &ck_kernels_avx2;
#endif
  default: return &ck_kernels_fma;
  }
}

void ck_rms_norm_forward(float *out, float *rstd, const float *in, const float *weight, int64_t T,
                         int64_t C, float epsilon) {
  ck_kernels()->rms_norm_forward(out, rstd, in, weight, T, C, epsilon);
}
void ck_rms_norm_backward(float *dInput, const float *dOut, const float *in, const float *weight,
                          const float *rstd, int64_t T, int64_t C, int add) {
  ck_kernels()->rms_norm_backward(dInput, dOut, in, weight, rstd, T, C, add);
}
void ck_layer_norm_forward(float *out, float *mean, float *rstd, const float *in, const float
                           *weight, const float *bias, int64_t T, int64_t C, float epsilon) {
  ck_kernels()->layer_norm_forward(out, mean, rstd, in, weight, bias, T, C, epsilon);
}
void ck_layer_norm_backward(float *dInput, const float *dOut, const float *in, const float *weight,
                            const float *mean, const float *rstd, int64_t T, int64_t C, int add) {
  ck_kernels()->layer_norm_backward(dInput, dOut, in, weight, mean, rstd, T, C, add);
}
void ck_rms_norm_weight_gradient(float *dWeight, const float *dOut, const float *in, const float
                                 *rstd, int64_t T, int64_t C) {
  ck_kernels()->rms_norm_weight_gradient(dWeight, dOut, in, rstd, T, C);
}
void ck_layer_norm_weight_gradient(float *dWeight, float *dBias, const float *dOut, const float *in,
                                   const float *mean, const float *rstd, int64_t T, int64_t C) {
  ck_kernels()->layer_norm_weight_gradient(dWeight, dBias, dOut, in, mean, rstd, T, C);
}
void ck_activation_forward(float *out, const float *in, int64_t n, int kind) {
  ck_kernels()->activation_forward(out, in, n, kind);
}
void ck_activation_backward(float *dInput, const float *dOut, const float *in, int64_t n, int kind)
                            {
  ck_kernels()->activation_backward(dInput, dOut, in, n, kind);
}
void ck_gated_forward(float *out, const float *gate, const float *up, int64_t n, int kind) {
  ck_kernels()->gated_forward(out, gate, up, n, kind);
}
void ck_gated_backward(float *dGate, float *dUp, const float *dOut, const float *gate, const float
                       *up, int64_t n, int kind) {
  ck_kernels()->gated_backward(dGate, dUp, dOut, gate, up, n, kind);
}
void ck_attention_softmax(float *scores, int64_t stride, float *logSumExp, int64_t rows, int64_t
                          columns, int64_t visible, int64_t hidden, float scale) {
  ck_kernels()->attention_softmax(scores, stride, logSumExp, rows, columns, visible, hidden, scale);
}
void ck_attention_probabilities(float *scores, int64_t stride, const float *logSumExp, int64_t rows,
                                int64_t columns, int64_t visible, int64_t hidden, float scale) {
  ck_kernels()->attention_probabilities(scores, stride, logSumExp, rows, columns, visible, hidden,
                                        scale);
}
void ck_attention_score_gradient(float *dP, const float *p, int64_t stride, const float *delta,
                                 int64_t rows, int64_t columns, float scale) {
  ck_kernels()->attention_score_gradient(dP, p, stride, delta, rows, columns, scale);
}
void ck_row_dots(float *delta, const float *a, const float *b, int64_t stride, int64_t rows, int64_t
                 columns) {
  ck_kernels()->row_dots(delta, a, b, stride, rows, columns);
}
void ck_rotary(float *x, const float *cosines, const float *sines, const int32_t *positions, int64_t
               T, int64_t heads, int64_t D, int64_t rotated, float direction) {
  ck_kernels()->rotary(x, cosines, sines, positions, T, heads, D, rotated, direction);
}
void ck_cross_entropy(float *logits, const int32_t *targets, float *losses, int32_t *predictions,
                      int64_t rows, int64_t columns, float scale, int gradient) {
  ck_kernels()->cross_entropy(logits, targets, losses, predictions, rows, columns, scale, gradient);
}
void ck_binary_cross_entropy(float *logits, const float *targets, float *losses, int64_t rows,
                             int64_t columns, float scale, int gradient) {
  ck_kernels()->binary_cross_entropy(logits, targets, losses, rows, columns, scale, gradient);
}
void ck_add_bias(float *x, const float *bias, int64_t T, int64_t C) {
  ck_kernels()->add_bias(x, bias, T, C);
}
void ck_bias_gradient(float *dBias, const float *dOut, int64_t T, int64_t C) {
  ck_kernels()->bias_gradient(dBias, dOut, T, C);
}
void ck_add(float *x, const float *y, int64_t n) {
  ck_kernels()->add(x, y, n);
}
int ck_all_finite(const float *x, int64_t n) {
  return ck_kernels()->all_finite(x, n);
}
void ck_triad(float *a, const float *b, const float *c, int64_t n) {
  ck_kernels()->triad(a, b, c, n);
}
void ck_round_to_bf16(uint16_t *out, const float *in, int64_t n) {
  ck_kernels()->round_to_bf16(out, in, n);
}
void ck_widen_blocks(float *out, const void *blocks, int64_t count, int format) {
  ck_kernels()->widen_blocks(out, blocks, count, format);
}
