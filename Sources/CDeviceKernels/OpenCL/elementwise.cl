// Sums along rows and columns, copies of rows, embeddings and means over sequences.

__kernel void fill(MUT(x), float value, long count) {
  USE_MUT(x);
  const long i = get_global_id(0);
  if (i < count) x[i] = value;
}

__kernel void add_bias(MUT(x), SEE(bias), long count, int channels) {
  USE_MUT(x);
  USE(bias);
  const long i = get_global_id(0);
  if (i < count) x[i] += bias[i % channels];
}

__kernel void bias_gradient(MUT(d_bias), SEE(d_out), int tokens, int channels) {
  USE_MUT(d_bias);
  USE(d_out);
  const int c = get_global_id(0);
  if (c >= channels) return;
  float sum = d_bias[c];
  for (int t = 0; t < tokens; t++) sum += d_out[(long)t * channels + c];
  d_bias[c] = sum;
}

__kernel void add(MUT(x), SEE(y), long count) {
  USE_MUT(x);
  USE(y);
  const long i = get_global_id(0);
  if (i < count) x[i] += y[i];
}

__kernel void scale(MUT(x), float factor, long count) {
  USE_MUT(x);
  const long i = get_global_id(0);
  if (i < count) x[i] *= factor;
}

/// out = a b.
__kernel void multiply(MUT(out), SEE(a), SEE(b), long count) {
  USE_MUT(out);
  USE(a);
  USE(b);
  const long i = get_global_id(0);
  if (i < count) out[i] = a[i] * b[i];
}

/// out += a b, in two roundings.
__kernel void add_product(MUT(out), SEE(a), SEE(b), long count) {
  USE_MUT(out);
  USE(a);
  USE(b);
  const long i = get_global_id(0);
  if (i < count) out[i] += a[i] * b[i];
}

/// out = 1 + x.
__kernel void one_plus(MUT(out), SEE(x), int count) {
  USE_MUT(out);
  USE(x);
  const int i = get_global_id(0);
  if (i < count) out[i] = 1.0f + x[i];
}

/// Row r of out = row sources[r] of in.
__kernel void gather_rows(MUT(out), SEE(in), SEE_INT(sources), int channels) {
  USE_MUT(out);
  USE(in);
  USE_INT(sources);
  const int c = get_global_id(0), r = get_global_id(1);
  if (c < channels) out[(long)r * channels + c] = in[(long)sources[r] * channels + c];
}

/// Row targets[r] of out = row r of in.
__kernel void scatter_rows(MUT(out), SEE(in), SEE_INT(targets), int channels) {
  USE_MUT(out);
  USE(in);
  USE_INT(targets);
  const int c = get_global_id(0), r = get_global_id(1);
  if (c < channels) out[(long)targets[r] * channels + c] = in[(long)r * channels + c];
}

/// Row r of out += row sources[r] of table.
__kernel void add_gathered_rows(MUT(out), SEE(table), SEE_INT(sources), int channels) {
  USE_MUT(out);
  USE(table);
  USE_INT(sources);
  const int c = get_global_id(0), r = get_global_id(1);
  if (c < channels) out[(long)r * channels + c] += table[(long)sources[r] * channels + c];
}

/// Row targets[r] of table += row r of in, rows in ascending order: a work-item for each channel.
__kernel void add_scattered_rows(MUT(table), SEE(in), SEE_INT(targets), int rows, int channels) {
  USE_MUT(table);
  USE(in);
  USE_INT(targets);
  const int c = get_global_id(0);
  if (c >= channels) return;
  for (int r = 0; r < rows; r++)
    table[(long)targets[r] * channels + c] += in[(long)r * channels + c];
}

/// Row s of out = the mean of rows offsets[s] ..< offsets[s + 1] of in: one chain of sums from 0,
/// then a multiplication by 1 / length.
__kernel void mean_rows(MUT(out), SEE(in), SEE_INT(offsets), int channels) {
  USE_MUT(out);
  USE(in);
  USE_INT(offsets);
  const int c = get_global_id(0), s = get_global_id(1);
  if (c >= channels) return;
  float sum = 0.0f;
  for (int r = offsets[s]; r < offsets[s + 1]; r++) sum += in[(long)r * channels + c];
  out[(long)s * channels + c] = sum * (1.0f / (float)(offsets[s + 1] - offsets[s]));
}

/// Rows offsets[s] ..< offsets[s + 1] of out = row s of in, times 1 / length.
__kernel void spread_rows(MUT(out), SEE(in), SEE_INT(offsets), int channels) {
  USE_MUT(out);
  USE(in);
  USE_INT(offsets);
  const int c = get_global_id(0), s = get_global_id(1);
  if (c >= channels) return;
  const float value =
      in[(long)s * channels + c] * (1.0f / (float)(offsets[s + 1] - offsets[s]));
  for (int r = offsets[s]; r < offsets[s + 1]; r++) out[(long)r * channels + c] = value;
}
