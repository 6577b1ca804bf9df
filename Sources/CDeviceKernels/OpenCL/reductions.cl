// Sums and maxima over a row by a work-group of 32, one work-item for each lane
// (docs/arithmetic.md, "Sums over a row").

#define LANES 32

/// The sum of the lanes' values, in every work-item: lane j += lane j + 16, then + 8, + 4, + 2, +
/// 1.
static inline float sum_lanes(float value, __local float *lanes) {
  int j = get_local_id(0);
  lanes[j] = value;
  for (int half_width = LANES / 2; half_width > 0; half_width /= 2) {
    barrier(CLK_LOCAL_MEM_FENCE);
    if (j < half_width) lanes[j] += lanes[j + half_width];
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  float sum = lanes[0];
  barrier(CLK_LOCAL_MEM_FENCE);
  return sum;
}

static inline float larger(float a, float b) { return a > b ? a : b; }

/// The largest of n elements, in every work-item: NaNs are passed over, and -0 counts as +0.
static inline float largest_of(__global const float *x, int n, __local float *lanes) {
  int j = get_local_id(0);
  float top = -INFINITY;
  for (int i = j; i < n; i += LANES) top = larger(x[i], top);
  lanes[j] = top;
  for (int half_width = LANES / 2; half_width > 0; half_width /= 2) {
    barrier(CLK_LOCAL_MEM_FENCE);
    if (j < half_width) lanes[j] = larger(lanes[j + half_width], lanes[j]);
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  top = lanes[0] + 0.0f;
  barrier(CLK_LOCAL_MEM_FENCE);
  return top;
}
