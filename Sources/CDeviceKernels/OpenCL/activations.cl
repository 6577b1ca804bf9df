// Activations and gated products, as Sources/CKernels/Vector/activations.h. The numbers of the
// activations are those of cellm_kernels.h.

#define GELU 0
#define GELU_TANH 1
#define RELU 2
#define SILU 3

static inline float activate(float x, int kind) {
  switch (kind) {
  case GELU: return ck_gelu(x);
  case GELU_TANH: return ck_gelu_tanh(x);
  case RELU: return ck_relu(x);
  case SILU: return ck_silu(x);
  default: return ck_tanh(x);
  }
}

static inline float slope_of(float x, int kind) {
  switch (kind) {
  case GELU: return ck_gelu_slope(x);
  case GELU_TANH: return ck_gelu_tanh_slope(x);
  case RELU: return ck_relu_slope(x);
  case SILU: return ck_silu_slope(x);
  default: return ck_tanh_slope(x);
  }
}

__kernel void activation_forward(MUT(out), SEE(in), long count, int kind) {
  USE_MUT(out);
  USE(in);
  const long i = get_global_id(0);
  if (i < count) out[i] = activate(in[i], kind);
}

__kernel void activation_backward(MUT(d_input), SEE(d_out), SEE(in), long count, int kind) {
  USE_MUT(d_input);
  USE(d_out);
  USE(in);
  const long i = get_global_id(0);
  if (i < count) d_input[i] = d_out[i] * slope_of(in[i], kind);
}

__kernel void gated_forward(MUT(out), SEE(gate), SEE(up), long count, int kind) {
  USE_MUT(out);
  USE(gate);
  USE(up);
  const long i = get_global_id(0);
  if (i < count) out[i] = activate(gate[i], kind) * up[i];
}

__kernel void gated_backward(MUT(d_gate), MUT(d_up), SEE(d_out), SEE(gate), SEE(up), long count,
                             int kind) {
  USE_MUT(d_gate);
  USE_MUT(d_up);
  USE(d_out);
  USE(gate);
  USE(up);
  const long i = get_global_id(0);
  if (i >= count) return;
  const float d = d_out[i], g = gate[i], u = up[i];
  d_gate[i] = d * u * slope_of(g, kind);
  d_up[i] = d * activate(g, kind);
}
