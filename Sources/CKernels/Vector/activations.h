// Activations and gated products, forward and backward; every branch is a select, so that the
// loops vectorize.
#include "arithmetic.h"

#include "functions.h"

#include "activation_functions.h"

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
