// Matrix products: each DEPTH steps of the inner dimension are one chain of fused multiply-adds
// from 0, and the chains are added in ascending order (docs/arithmetic.md, "Products"). A
// work-group of 16 x 16 computes a tile of outputs, of which each work-item has SIDE x SIDE; STEPS
// columns of `a` and rows of `b` at a time go through local memory.

#define DEPTH 576
#define STEPS 16
#define GROUP 16

/// SUMS += the fused products of `count` steps, SIDE x SIDE for each work-item.
#define STEP(k)                                                                                    \
  {                                                                                                \
    float left[SIDE], right[SIDE];                                                                 \
    for (int i = 0; i < SIDE; i++) left[i] = tile_a[k][y + GROUP * i];                             \
    for (int i = 0; i < SIDE; i++) right[i] = tile_b[k][x + GROUP * i];                            \
    for (int i = 0; i < SIDE; i++)                                                                 \
      for (int j = 0; j < SIDE; j++) sums[i][j] = fma(left[i], right[j], sums[i][j]);              \
  }

/// out (rows, columns) = a b, or added to it. a's element (r, k) is at r * a_row + k * a_inner, b's
/// element (k, c) at k * b_inner + c * b_column.
#define SIDE 4
__kernel __attribute__((reqd_work_group_size(GROUP, GROUP, 1))) void product(
    MUT(out), int stride, int rows, int columns, int inner, SEE(a), int a_row, int a_inner, SEE(b),
    int b_inner, int b_column, int add) {
  USE_MUT(out);
  USE(a);
  USE(b);
  __local float tile_a[STEPS][GROUP * SIDE + 1];
  __local float tile_b[STEPS][GROUP * SIDE + 1];
  const int x = get_local_id(0), y = get_local_id(1);
  const int item = y * GROUP + x;
  const int first_row = get_group_id(1) * GROUP * SIDE;
  const int first_column = get_group_id(0) * GROUP * SIDE;
  for (int block = 0; block < inner; block += DEPTH) {
    const int end = min(block + DEPTH, inner);
    float sums[SIDE][SIDE];
    for (int i = 0; i < SIDE; i++)
      for (int j = 0; j < SIDE; j++) sums[i][j] = 0.0f;
    for (int k = block; k < end; k += STEPS) {
      const int count = min(STEPS, end - k);
      // Neighbours read neighbours: along k where that is where a matrix is dense.
      for (int e = item; e < GROUP * SIDE * STEPS; e += GROUP * GROUP) {
        const int ka = a_inner == 1 ? e % STEPS : e / (GROUP * SIDE);
        const int r = a_inner == 1 ? e / STEPS : e % (GROUP * SIDE);
        tile_a[ka][r] = ka < count && first_row + r < rows
                            ? a[(long)(first_row + r) * a_row + (long)(k + ka) * a_inner]
                            : 0.0f;
        const int kb = b_inner == 1 ? e % STEPS : e / (GROUP * SIDE);
        const int c = b_inner == 1 ? e / STEPS : e % (GROUP * SIDE);
        tile_b[kb][c] = kb < count && first_column + c < columns
                            ? b[(long)(k + kb) * b_inner + (long)(first_column + c) * b_column]
                            : 0.0f;
      }
      barrier(CLK_LOCAL_MEM_FENCE);
      // No step beyond the end: a fused product of zeros would turn a sum of -0 into 0.
      if (count == STEPS) {
        for (int step = 0; step < STEPS; step++) STEP(step)
      } else {
        for (int step = 0; step < count; step++) STEP(step)
      }
      barrier(CLK_LOCAL_MEM_FENCE);
    }
    const int adds = add || block > 0;
    for (int i = 0; i < SIDE; i++) {
      const int r = first_row + y + GROUP * i;
      if (r >= rows) continue;
      for (int j = 0; j < SIDE; j++) {
        const int c = first_column + x + GROUP * j;
        if (c >= columns) continue;
        __global float *target = out + (long)r * stride + c;
        *target = adds ? *target + sums[i][j] : sums[i][j];
      }
    }
  }
}
#undef SIDE
