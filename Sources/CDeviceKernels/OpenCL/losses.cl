// Losses over rows of logits, with their gradients in place, as Sources/CKernels/Vector/losses.h: a
// work-group of 32 for each row.

__kernel ROW_GROUP void cross_entropy(MUT(logits), SEE_INT(targets), MUT(losses),
                                      MUT_INT(predictions), int columns, float scale,
                                      int gradient) {
  USE_MUT(logits);
  USE_INT(targets);
  USE_MUT(losses);
  USE_MUT_INT(predictions);
  __local float lanes[LANES];
  __local int places[LANES];
  const int r = get_group_id(0), j = get_local_id(0);
  __global float *x = logits + (long)r * columns;
  const float largest = largest_of(x, columns, lanes);
  int best = columns - 1;
  for (int c = j; c < columns; c += LANES)
    if (x[c] == largest) {
      best = c;
      break;
    }
  places[j] = best;
  barrier(CLK_LOCAL_MEM_FENCE);
  if (j == 0) {
    for (int i = 1; i < LANES; i++) best = min(best, places[i]);
    predictions[r] = best;
  }
  const int target = targets[r];
  if (target < 0 || target >= columns) {
    if (j == 0) losses[r] = 0.0f;
    if (gradient)
      for (int c = j; c < columns; c += LANES) x[c] = 0.0f;
    return;
  }
  const float chosen = x[target];
  barrier(CLK_GLOBAL_MEM_FENCE);
  float sums = 0.0f;
  for (int c = j; c < columns; c += LANES) {
    const float e = ck_exp(x[c] - largest);
    if (gradient) x[c] = e;
    sums += e;
  }
  const float sum = sum_lanes(sums, lanes);
  if (gradient) {
    const float factor = scale / sum;
    for (int c = j; c < columns; c += LANES) {
      const float p = x[c] * factor;
      x[c] = c == target ? p - scale : p;
    }
  }
  if (j == 0) losses[r] = ck_log(sum) + largest - chosen;
}

__kernel ROW_GROUP void binary_cross_entropy(MUT(logits), SEE(targets), MUT(losses), int columns,
                                             float scale, int gradient) {
  USE_MUT(logits);
  USE(targets);
  USE_MUT(losses);
  __local float lanes[LANES];
  const int r = get_group_id(0), j = get_local_id(0);
  __global float *x = logits + (long)r * columns;
  __global const float *t = targets + (long)r * columns;
  float sums = 0.0f;
  for (int c = j; c < columns; c += LANES) {
    const float value = x[c];
    const float e = ck_exp(-fabs(value));
    const float loss = fma(-value, t[c], value > 0 ? value : 0.0f) + ck_log(1.0f + e);
    const float p = (value > 0 ? 1.0f : e) / (1.0f + e);
    sums += loss;
    if (gradient) x[c] = (p - t[c]) * scale;
  }
  const float sum = sum_lanes(sums, lanes);
  if (j == 0) losses[r] = sum;
}
