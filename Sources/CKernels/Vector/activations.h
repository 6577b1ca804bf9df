// Activations and gated products, forward and backward; every branch is a select, so that the
// loops vectorize.
#include "functions.h"

CK_INLINE float ck_sigmoid(float x) { return 1.0f / (1.0f + ck_exp(-x)); }
CK_INLINE float ck_tanh(float x) { return ck_fma(2.0f, ck_sigmoid(2.0f * x), -1.0f); }

CK_INLINE float ck_gelu(float x) {
  float h = 0.5f * x;
  return ck_fma(h, ck_erf(x * 0x1.6a09e6p-1f), h);
}
CK_INLINE float ck_gelu_slope(float x) {
  float share = ck_fma(0.5f, ck_erf(x * 0x1.6a09e6p-1f), 0.5f);
  return ck_fma(x * 0x1.988454p-2f, ck_exp(-0.5f * x * x), share);
}

/// 2 sqrt(2 / pi) (x + 0.044715 x^3).
CK_INLINE float ck_gelu_tanh_inner(float x) {
  return x * ck_fma(0x1.2444f2p-4f, x * x, 0x1.988454p+0f);
}
CK_INLINE float ck_gelu_tanh(float x) { return x * ck_sigmoid(ck_gelu_tanh_inner(x)); }
CK_INLINE float ck_gelu_tanh_slope(float x) {
  float u = ck_gelu_tanh_inner(x);
  float s = ck_sigmoid(u);
  // sigmoid(-u), not 1 - s: the factor behind it grows with x^3.
  float inner = ck_fma(0x1.b6676cp-3f, x * x, 0x1.988454p+0f);
  return ck_fma(x * s * ck_sigmoid(-u), inner, s);
}

CK_INLINE float ck_relu(float x) { return x > 0 ? x : 0; }
CK_INLINE float ck_relu_slope(float x) { return x > 0 ? 1 : 0; }

CK_INLINE float ck_silu(float x) { return x * ck_sigmoid(x); }
CK_INLINE float ck_silu_slope(float x) {
  float s = ck_sigmoid(x);
  return ck_fma(x * s, 1.0f - s, s);
}

CK_INLINE float ck_tanh_slope(float x) {
  float y = ck_tanh(x);
  return ck_fma(-y, y, 1.0f);
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

static void CK(activation_forward)(float *out, const float *in, int64_t n, int kind) {
#define LOOP(f, slope)                                                                             \
  if (out == in)                                                                                   \
    for (int64_t i = 0; i < n; i++) out[i] = f(out[i]);                                            \
  else                                                                                             \
    for (int64_t i = 0; i < n; i++) out[i] = f(in[i]);
  CK_EACH(kind, LOOP)
#undef LOOP
}

static void CK(activation_backward)(float *dInput, const float *dOut, const float *in, int64_t n,
                                      int kind) {
#define LOOP(f, slope)                                                                             \
  if (dInput == dOut)                                                                              \
    for (int64_t i = 0; i < n; i++) dInput[i] *= slope(in[i]);                                     \
  else                                                                                             \
    for (int64_t i = 0; i < n; i++) dInput[i] = dOut[i] * slope(in[i]);
  CK_EACH(kind, LOOP)
#undef LOOP
}

static void CK(gated_forward)(float *out, const float *gate, const float *up, int64_t n,
                                int kind) {
#define LOOP(f, slope)                                                                             \
  for (int64_t i = 0; i < n; i++) out[i] = f(gate[i]) * up[i];
  CK_EACH(kind, LOOP)
#undef LOOP
}

static void CK(gated_backward)(float *dGate, float *dUp, const float *dOut, const float *gate,
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
