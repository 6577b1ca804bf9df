// Attention over packed sequences, as Sources/Kernels/Attention.swift. Scores of all heads and
// queries exist at once: (heads, queries, width), where a row's first column is the first key of
// its tile. Rows and tiles are described by integers:
//   a row (ROW of them):   its row of `query`, the row of its first key, the keys of its tile,
//   those
//                          up to the last that it sees, those before the first that it sees
//   a tile (TILE of them): its first row of the output, its rows, its first row of `query`, the row
//                          of its first key, its keys
//   a token (two):         the first tile of its sequence, and the number of tiles

#define ROW 5
#define TILE 5

/// scores = query key^T, or, of gradients, d_out value^T: then queries are rows of the output.
__kernel void attention_scores(MUT(scores), SEE(query), SEE(key), SEE_INT(rows), int queries,
                               int width, int heads, int group, int size, int of_gradients) {
  USE_MUT(scores);
  USE(query);
  USE(key);
  USE_INT(rows);
  const int c = get_global_id(0), r = get_global_id(1), head = get_global_id(2);
  __global const int *row = rows + r * ROW;
  if (c >= row[2]) return;
  const int of_query = of_gradients ? r : row[0];
  __global const float *q = query + ((long)of_query * heads + head) * size;
  __global const float *k = key + ((long)(row[1] + c) * (heads / group) + head / group) * size;
  float total = 0.0f;
  for (int block = 0; block < size; block += DEPTH) {
    const int end = min(block + DEPTH, size);
    float sum = 0.0f;
    for (int i = block; i < end; i++) sum = fma(q[i], k[i], sum);
    total = block == 0 ? sum : total + sum;
  }
  scores[((long)head * queries + r) * width + c] = total;
}

/// Scores become probabilities; log_sums (heads, queries) is kept.
__kernel ROW_GROUP void attention_softmax(MUT(scores), MUT(log_sums), SEE_INT(rows), int queries,
                                          int width, float scale) {
  USE_MUT(scores);
  USE_MUT(log_sums);
  USE_INT(rows);
  __local float lanes[LANES];
  const int r = get_group_id(1), head = get_group_id(2), j = get_local_id(0);
  __global const int *row = rows + r * ROW;
  __global float *s = scores + ((long)head * queries + r) * width;
  const int columns = row[2], limit = min(row[3], columns);
  for (int c = j; c < row[4] && c < columns; c += LANES) s[c] = -INFINITY;
  barrier(CLK_GLOBAL_MEM_FENCE);
  const float top = largest_of(s, limit, lanes) * scale;
  float sums = 0.0f;
  for (int c = j; c < limit; c += LANES) {
    const float e = ck_exp(fma(s[c], scale, -top));
    s[c] = e;
    sums += e;
  }
  const float sum = sum_lanes(sums, lanes);
  const float inverse = 1.0f / sum;
  for (int c = j; c < columns; c += LANES) s[c] = c < limit ? s[c] * inverse : 0.0f;
  if (j == 0) log_sums[(long)head * queries + r] = top + ck_log(sum);
}

/// The same probabilities from scores and the kept log_sums.
__kernel void attention_probabilities(MUT(scores), SEE(log_sums), SEE_INT(rows), int queries,
                                      int width, float scale) {
  USE_MUT(scores);
  USE(log_sums);
  USE_INT(rows);
  const int c = get_global_id(0), r = get_global_id(1), head = get_global_id(2);
  __global const int *row = rows + r * ROW;
  if (c >= row[2]) return;
  __global float *s = scores + ((long)head * queries + r) * width + c;
  const float score = c < row[4] ? -INFINITY : *s;
  const float level = log_sums[(long)head * queries + r];
  *s = c < row[3] ? ck_exp(fma(score, scale, -level)) : 0.0f;
}

/// d_scores becomes (p (d_scores - delta)) scale; delta is the sum of d_out * out over a head's
/// channels.
__kernel ROW_GROUP void attention_score_gradient(MUT(d_scores), SEE(probabilities), SEE(d_out),
                                                 SEE(out), SEE_INT(rows), int queries, int width,
                                                 int heads, int size, float scale) {
  USE_MUT(d_scores);
  USE(probabilities);
  USE(d_out);
  USE(out);
  USE_INT(rows);
  __local float lanes[LANES];
  const int r = get_group_id(1), head = get_group_id(2), j = get_local_id(0);
  const long first = ((long)r * heads + head) * size;
  float dots = 0.0f;
  for (int i = j; i < size; i += LANES) dots = fma(d_out[first + i], out[first + i], dots);
  const float delta = sum_lanes(dots, lanes);
  const long at = ((long)head * queries + r) * width;
  const int columns = rows[r * ROW + 2];
  for (int c = j; c < columns; c += LANES)
    d_scores[at + c] = probabilities[at + c] * (d_scores[at + c] - delta) * scale;
}

/// out (queries, heads * size) = scores value, or, of gradients, d_query = d_scores key: then rows
/// of `out` are those of `query`.
__kernel void attention_mixture(MUT(out), SEE(scores), SEE(value), SEE_INT(rows), int queries,
                                int width, int heads, int group, int size, int of_gradients) {
  USE_MUT(out);
  USE(scores);
  USE(value);
  USE_INT(rows);
  const int i = get_global_id(0), r = get_global_id(1), head = get_global_id(2);
  if (i >= size) return;
  __global const int *row = rows + r * ROW;
  __global const float *s = scores + ((long)head * queries + r) * width;
  const long stride = (long)(heads / group) * size;
  __global const float *v = value + row[1] * stride + (head / group) * size + i;
  const int columns = row[2];
  float total = 0.0f;
  for (int block = 0; block < columns; block += DEPTH) {
    const int end = min(block + DEPTH, columns);
    float sum = 0.0f;
    for (int c = block; c < end; c++) sum = fma(s[c], v[c * stride], sum);
    total = block == 0 ? sum : total + sum;
  }
  const int target = of_gradients ? row[0] : r;
  out[((long)target * heads + head) * size + i] = total;
}

/// d_key (tokens, key heads * size) = scores^T query, or, of values, d_value = probabilities^T
/// d_out, where queries are rows of the output: heads of a group and tiles in ascending order.
__kernel void attention_key_gradient(MUT(d_key), SEE(scores), SEE(query), SEE_INT(tiles),
                                     SEE_INT(tokens), int queries, int width, int heads, int group,
                                     int size, int of_values) {
  USE_MUT(d_key);
  USE(scores);
  USE(query);
  USE_INT(tiles);
  USE_INT(tokens);
  const int i = get_global_id(0), t = get_global_id(1), key_head = get_global_id(2);
  if (i >= size) return;
  const int first_tile = tokens[2 * t], tile_count = tokens[2 * t + 1];
  float total = 0.0f;
  for (int head = key_head * group; head < (key_head + 1) * group; head++)
    for (int index = 0; index < tile_count; index++) {
      __global const int *tile = tiles + (first_tile + index) * TILE;
      const int c = t - tile[3];
      if (c < 0 || c >= tile[4]) continue;
      const int first = of_values ? tile[0] : tile[2];
      float sum = 0.0f;
      for (int r = 0; r < tile[1]; r++)
        sum = fma(scores[((long)head * queries + tile[0] + r) * width + c],
                  query[((long)(first + r) * heads + head) * size + i], sum);
      total = total + sum;
    }
  d_key[((long)t * (heads / group) + key_head) * size + i] = total;
}

/// Rotates the first `rotated` channels of each head; direction is 1 or -1.
__kernel void rotary(MUT(x), SEE(cosines), SEE(sines), SEE_INT(positions), int heads, int size,
                     int rotated, float direction) {
  USE_MUT(x);
  USE(cosines);
  USE(sines);
  USE_INT(positions);
  const int half_width = rotated / 2;
  const int i = get_global_id(0), head = get_global_id(1), t = get_global_id(2);
  if (i >= half_width) return;
  __global float *a = x + ((long)t * heads + head) * size + i;
  __global float *b = a + half_width;
  const float c = cosines[(long)positions[t] * half_width + i];
  const float s = direction * sines[(long)positions[t] * half_width + i];
  const float u = *a, v = *b;
  *a = fma(-v, s, u * c);
  *b = fma(u, s, v * c);
}
