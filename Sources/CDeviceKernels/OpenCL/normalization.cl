// RMSNorm and LayerNorm, as Sources/CKernels/Vector/normalization.h: a work-group of 32 for each
// row.

#define ROW_GROUP __attribute__((reqd_work_group_size(LANES, 1, 1)))

__kernel ROW_GROUP void rms_norm_forward(MUT(out), MUT(rstd), SEE(in), SEE(weight), int channels,
                                         float epsilon) {
  USE_MUT(out);
  USE_MUT(rstd);
  USE(in);
  USE(weight);
  __local float lanes[LANES];
  const int t = get_group_id(0), j = get_local_id(0);
  __global const float *x = in + (long)t * channels;
  float squares = 0.0f;
  for (int c = j; c < channels; c += LANES) squares = fma(x[c], x[c], squares);
  const float r = 1.0f / sqrt(sum_lanes(squares, lanes) / (float)channels + epsilon);
  if (j == 0) rstd[t] = r;
  for (int c = j; c < channels; c += LANES) out[(long)t * channels + c] = x[c] * r * weight[c];
}

__kernel ROW_GROUP void rms_norm_backward(MUT(d_input), SEE(d_out), SEE(in), SEE(weight), SEE(rstd),
                                          int channels, int add) {
  USE_MUT(d_input);
  USE(d_out);
  USE(in);
  USE(weight);
  USE(rstd);
  __local float lanes[LANES];
  const int t = get_group_id(0), j = get_local_id(0);
  __global const float *x = in + (long)t * channels;
  __global const float *dy = d_out + (long)t * channels;
  __global float *dx = d_input + (long)t * channels;
  float dots = 0.0f;
  for (int c = j; c < channels; c += LANES) dots = fma(weight[c] * dy[c], x[c], dots);
  const float r = rstd[t];
  const float along = r * r * r * sum_lanes(dots, lanes) / (float)channels;
  for (int c = j; c < channels; c += LANES) {
    const float slope = fma(-along, x[c], r * (weight[c] * dy[c]));
    dx[c] = add ? dx[c] + slope : slope;
  }
}

__kernel ROW_GROUP void layer_norm_forward(MUT(out), MUT(mean), MUT(rstd), SEE(in), SEE(weight),
                                           SEE(bias), int has_bias, int channels, float epsilon) {
  USE_MUT(out);
  USE_MUT(mean);
  USE_MUT(rstd);
  USE(in);
  USE(weight);
  USE(bias);
  __local float lanes[LANES];
  const int t = get_group_id(0), j = get_local_id(0);
  __global const float *x = in + (long)t * channels;
  float sums = 0.0f, squares = 0.0f;
  for (int c = j; c < channels; c += LANES) sums += x[c];
  const float m = sum_lanes(sums, lanes) / (float)channels;
  for (int c = j; c < channels; c += LANES) squares = fma(x[c] - m, x[c] - m, squares);
  const float r = 1.0f / sqrt(sum_lanes(squares, lanes) / (float)channels + epsilon);
  if (j == 0) {
    mean[t] = m;
    rstd[t] = r;
  }
  for (int c = j; c < channels; c += LANES)
    out[(long)t * channels + c] = fma((x[c] - m) * r, weight[c], has_bias ? bias[c] : 0.0f);
}

__kernel ROW_GROUP void layer_norm_backward(MUT(d_input), SEE(d_out), SEE(in), SEE(weight),
                                            SEE(mean), SEE(rstd), int channels, int add) {
  USE_MUT(d_input);
  USE(d_out);
  USE(in);
  USE(weight);
  USE(mean);
  USE(rstd);
  __local float lanes[LANES];
  const int t = get_group_id(0), j = get_local_id(0);
  __global const float *x = in + (long)t * channels;
  __global const float *dy = d_out + (long)t * channels;
  __global float *dx = d_input + (long)t * channels;
  const float m = mean[t], r = rstd[t];
  float sums = 0.0f, dots = 0.0f;
  for (int c = j; c < channels; c += LANES) {
    const float g = weight[c] * dy[c];
    sums += g;
    dots = fma(g, x[c] - m, dots);
  }
  const float level = sum_lanes(sums, lanes) / (float)channels;
  const float along = sum_lanes(dots, lanes) * r * r / (float)channels;
  for (int c = j; c < channels; c += LANES) {
    const float slope = r * fma(-along, x[c] - m, weight[c] * dy[c] - level);
    dx[c] = add ? dx[c] + slope : slope;
  }
}

// Chains over rows in ascending order, one work-item for each channel.

__kernel void rms_norm_weight_gradient(MUT(d_weight), SEE(d_out), SEE(in), SEE(rstd), int tokens,
                                       int channels) {
  USE_MUT(d_weight);
  USE(d_out);
  USE(in);
  USE(rstd);
  const int c = get_global_id(0);
  if (c >= channels) return;
  float sum = d_weight[c];
  for (int t = 0; t < tokens; t++) {
    const long at = (long)t * channels + c;
    sum = fma(d_out[at], in[at] * rstd[t], sum);
  }
  d_weight[c] = sum;
}

__kernel void layer_norm_weight_gradient(MUT(d_weight), MUT(d_bias), int has_bias, SEE(d_out),
                                         SEE(in), SEE(mean), SEE(rstd), int tokens, int channels) {
  USE_MUT(d_weight);
  USE_MUT(d_bias);
  USE(d_out);
  USE(in);
  USE(mean);
  USE(rstd);
  const int c = get_global_id(0);
  if (c >= channels) return;
  float sum = d_weight[c], level = has_bias ? d_bias[c] : 0.0f;
  for (int t = 0; t < tokens; t++) {
    const long at = (long)t * channels + c;
    const float dy = d_out[at];
    sum = fma(dy, (in[at] - mean[t]) * rstd[t], sum);
    level += dy;
  }
  d_weight[c] = sum;
  if (has_bias) d_bias[c] = level;
}
