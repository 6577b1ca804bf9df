// Activations of one float and their slopes. Also a part of the programs of other devices
// (Sources/CDeviceKernels): nothing is included here.
#ifndef CK_ACTIVATION_FUNCTIONS
#define CK_ACTIVATION_FUNCTIONS

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

#endif
