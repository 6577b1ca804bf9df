// Activations and gated products, forward and backward; every branch is a select, so that the
// loops vectorize.
#include "cellm_kernels.h"

#include <math.h>

#include "vector.h"

/// erf(x) within one unit in the last place (minimax polynomials after N. Juffa).
CK_INLINE float ck_erf(float a) {
  float t = fabsf(a);
  float s = a * a;
  float big = -1.72853470e-5f * t + 3.83197126e-4f;
  float u = -3.88396438e-3f * t + 2.42546219e-2f;
  big = big * s + u;
  big = big * t - 1.06777877e-1f;
  big = big * t - 6.34846687e-1f;
  big = big * t - 1.28717512e-1f;
  big = big * t - t;
  big = copysignf(1.0f - ck_exp(big), a);
  float small = -5.96761703e-4f;
  small = small * s + 4.99119423e-3f;
  small = small * s - 2.67681349e-2f;
  small = small * s + 1.12819925e-1f;
  small = small * s - 3.76125336e-1f;
  small = small * s + 1.28379166e-1f;
  small = small * a + a;
  return t > 0.927734375f ? big : small;
}

CK_INLINE float ck_sigmoid(float x) { return 1.0f / (1.0f + ck_exp(-x)); }
CK_INLINE float ck_tanh(float x) { return 2.0f * ck_sigmoid(2.0f * x) - 1.0f; }

CK_INLINE float ck_gelu(float x) { return 0.5f * x * (1.0f + ck_erf(x * 0.70710678f)); }
CK_INLINE float ck_gelu_slope(float x) {
  return 0.5f * (1.0f + ck_erf(x * 0.70710678f)) + x * 0.39894228f * ck_exp(-0.5f * x * x);
}

CK_INLINE float ck_gelu_tanh(float x) {
  return x * ck_sigmoid(1.59576912f * (x + 0.044715f * x * x * x));
}
CK_INLINE float ck_gelu_tanh_slope(float x) {
  float u = 1.59576912f * (x + 0.044715f * x * x * x);
  float s = ck_sigmoid(u);
  // sigmoid(-u), not 1 - s: the factor behind it grows with x^3.
  return s + x * s * ck_sigmoid(-u) * 1.59576912f * (1.0f + 0.134145f * x * x);
}

CK_INLINE float ck_relu(float x) { return x > 0 ? x : 0; }
CK_INLINE float ck_relu_slope(float x) { return x > 0 ? 1 : 0; }

CK_INLINE float ck_silu(float x) { return x * ck_sigmoid(x); }
CK_INLINE float ck_silu_slope(float x) {
  float s = ck_sigmoid(x);
  return s + x * s * (1.0f - s);
}

CK_INLINE float ck_tanh_slope(float x) {
  float y = ck_tanh(x);
  return 1.0f - y * y;
}

// One loop for each activation: the switch stays outside.
#define CK_EACH(kind, LOOP)                                                                        \
  switch (kind) {                                                                                  \
  case CK_GELU: LOOP(ck_gelu, ck_gelu_slope) break;                                                \
  case CK_GELU_TANH: LOOP(ck_gelu_tanh, ck_gelu_tanh_slope) break;                                 \
  case CK_RELU: LOOP(ck_relu, ck_relu_slope) break;                                                \
  case CK_SILU: LOOP(ck_silu, ck_silu_slope) break;                                                \
  default: LOOP(ck_tanh, ck_tanh_slope) break;                                                     \
  }

// Where an output may be an input, the loop exists twice: a test for overlapping buffers would send
// the same buffer down a loop that does not vectorize, while one pointer for both needs no test.

CK_CLONES void ck_activation_forward(float *out, const float *in, int64_t n, int kind) {
#define LOOP(f, slope)                                                                             \
  if (out == in)                                                                                   \
    for (int64_t i = 0; i < n; i++) out[i] = f(out[i]);                                            \
  else                                                                                             \
    for (int64_t i = 0; i < n; i++) out[i] = f(in[i]);
  CK_EACH(kind, LOOP)
#undef LOOP
}

CK_CLONES void ck_activation_backward(float *dInput, const float *dOut, const float *in, int64_t n,
                                      int kind) {
#define LOOP(f, slope)                                                                             \
  if (dInput == dOut)                                                                              \
    for (int64_t i = 0; i < n; i++) dInput[i] *= slope(in[i]);                                     \
  else                                                                                             \
    for (int64_t i = 0; i < n; i++) dInput[i] = dOut[i] * slope(in[i]);
  CK_EACH(kind, LOOP)
#undef LOOP
}

CK_CLONES void ck_gated_forward(float *out, const float *gate, const float *up, int64_t n,
                                int kind) {
#define LOOP(f, slope)                                                                             \
  for (int64_t i = 0; i < n; i++) out[i] = f(gate[i]) * up[i];
  CK_EACH(kind, LOOP)
#undef LOOP
}

CK_CLONES void ck_gated_backward(float *dGate, float *dUp, const float *dOut, const float *gate,
                                 const float *up, int64_t n, int kind) {
#define EACH(from, f, slope)                                                                       \
  for (int64_t i = 0; i < n; i++) {                                                                \
    float d = from[i], g = gate[i], u = up[i];                                                     \
    dGate[i] = d * u * slope(g);                                                                   \
    dUp[i] = d * f(g);                                                                             \
  }
#define LOOP(f, slope)                                                                             \
  if (dUp == dOut)                                                                                 \
    EACH(dUp, f, slope)                                                                            \
  else if (dGate == dOut)                                                                          \
    EACH(dGate, f, slope)                                                                          \
  else                                                                                             \
    EACH(dOut, f, slope)
  CK_EACH(kind, LOOP)
#undef LOOP
#undef EACH
}
