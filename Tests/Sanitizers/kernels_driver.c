// Runs every kernel on heap buffers of exactly the size it may touch, for shapes that are empty, one,
// and not a multiple of a vector's width. Under the sanitizers an access one element too far ends it.
// All instruction sets of this CPU must give the same bits. The last line has their hash, which is the
// same for every compiler.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cellm_kernels.h"

/// n floats in -1 .. 1 on the heap; nothing lies behind them.
static float *values(int64_t n) {
  float *x = malloc((size_t)(n > 0 ? n : 1) * sizeof *x);
  for (int64_t i = 0; i < n; i++) x[i] = (float)(rand() % 2001 - 1000) / 1000.0f;
  return x;
}

static uint64_t hash;

/// Adds the bits of n floats to the hash (FNV-1a).
static void keep(const float *x, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    uint32_t bits;
    memcpy(&bits, x + i, sizeof bits);
    hash = (hash ^ bits) * 1099511628211u;
  }
}

static void rows(int64_t T, int64_t C) {
  float *x = values(T * C), *y = values(T * C), *w = values(C), *b = values(C), *r = values(T),
        *m = values(T), *d = values(T * C);
  ck_rms_norm_forward(y, r, x, w, T, C, 1e-5f);
  ck_rms_norm_backward(d, y, x, w, r, T, C, 1);
  ck_rms_norm_backward(y, y, x, w, r, T, C, 0);
  ck_rms_norm_weight_gradient(w, y, x, r, T, C);
  ck_layer_norm_forward(y, m, r, x, w, b, T, C, 1e-5f);
  ck_layer_norm_weight_gradient(w, b, y, x, m, r, T, C);
  ck_layer_norm_backward(d, y, x, w, m, r, T, C, 1);
  ck_layer_norm_backward(y, y, x, w, m, r, T, C, 0);
  ck_add_bias(x, b, T, C);
  ck_bias_gradient(b, x, T, C);
  ck_add(x, y, T * C);
  ck_triad(d, x, y, T * C);
  ck_row_dots(m, x, y, C, T, C);
  if (!ck_all_finite(x, T * C)) exit(2);
  uint16_t *halves = malloc((size_t)(T * C > 0 ? T * C : 1) * sizeof *halves);
  ck_round_to_bf16(halves, x, T * C);
  free(halves);
  for (int kind = CK_GELU; kind <= CK_TANH; kind++) {
    ck_activation_forward(y, x, T * C, kind);
    ck_activation_backward(y, y, x, T * C, kind);
    ck_gated_forward(y, x, d, T * C, kind);
    keep(y, T * C);
    ck_gated_backward(y, d, d, x, y, T * C, kind);
    keep(y, T * C), keep(d, T * C);
  }
  if (C > 0) {
    int32_t *targets = malloc((size_t)(T + 1) * sizeof *targets);
    int32_t *found = malloc((size_t)(T > 0 ? T : 1) * sizeof *found);
    for (int64_t t = 0; t <= T; t++) targets[t] = (int32_t)(t % (C + 2)) - 1;
    ck_cross_entropy(x, targets, r, found, T, C, 0.5f, 0);
    ck_cross_entropy(x, targets, r, found, T, C, 0.5f, 1);
    ck_binary_cross_entropy(x, y, r, T, C, 0.5f, 0);
    ck_binary_cross_entropy(x, y, r, T, C, 0.5f, 1);
    free(targets);
    free(found);
  }
  keep(x, T * C), keep(w, C), keep(b, C), keep(r, T), keep(m, T);
  free(x), free(y), free(w), free(b), free(r), free(m), free(d);
}

static void attention(int64_t T, int64_t columns, int64_t visible) {
  float *scores = values(T * columns), *p = values(T * columns), *level = values(T),
        *delta = values(T);
  // Every row sees a column at least, as in a window.
  int64_t hidden = (visible < columns ? visible : columns) - T;
  ck_attention_softmax(scores, columns, level, T, columns, visible, hidden, 0.3f);
  ck_attention_probabilities(p, columns, level, T, columns, visible, hidden, 0.3f);
  ck_attention_score_gradient(p, scores, columns, delta, T, columns, 0.3f);
  keep(scores, T * columns), keep(p, T * columns), keep(level, T);
  free(scores), free(p), free(level), free(delta);
}

static void product(int64_t rows, int64_t columns, int64_t inner) {
  float *a = values(rows * inner), *b = values(inner * columns), *out = values(rows * columns);
  for (int add = 0; add < 2; add++) {
    ck_product(out, columns, rows, columns, inner, a, inner, 1, b, columns, 0, add);
    keep(out, rows * columns);
    ck_product(out, columns, rows, columns, inner, a, 1, rows, b, inner, 1, add);
    keep(out, rows * columns);
  }
  free(a), free(b), free(out);
}

static void positions(int64_t T, int64_t heads, int64_t D) {
  float *x = values(T * heads * D), *c = values(T * D / 2), *s = values(T * D / 2);
  int32_t *at = malloc((size_t)(T > 0 ? T : 1) * sizeof *at);
  for (int64_t t = 0; t < T; t++) at[t] = (int32_t)(T - 1 - t);
  ck_rotary(x, c, s, at, T, heads, D, D, 1);
  ck_rotary(x, c, s, at, T, heads, D, D / 4 * 2, -1);
  keep(x, T * heads * D);
  free(x), free(c), free(s), free(at);
}

/// Runs every kernel with one instruction set; returns the hash of the results.
static uint64_t all(int level) {
  const int64_t sizes[] = {0, 1, 3, 7, 8, 15, 16, 17, 31, 33, 64, 129};
  const int count = (int)(sizeof sizes / sizeof *sizes);
  ck_set_level(level);
  srand(1);
  hash = 14695981039346656037u;
  for (int i = 0; i < 4; i++)
    for (int j = 1; j < count; j++) {
      rows(sizes[i], sizes[j]);
      attention(sizes[i], sizes[j], 1);
      attention(sizes[i], sizes[j], sizes[j]);
      positions(sizes[i], 3, 2 * sizes[j]);
      for (int k = 1; k < count; k++) product(sizes[i], sizes[j], sizes[k]);
    }
  // Blocks of the inner dimension, and rows and columns of whole tiles.
  product(50, 100, 1200);
  return hash;
}

int main(void) {
  uint64_t expected = all(CK_LEVEL_FMA);
  for (int level = CK_LEVEL_AVX2; level <= CK_LEVEL_AVX512; level++)
    if (ck_level_supported(level) && all(level) != expected) {
      printf("instruction set %d has other bits\n", level);
      return 3;
    }
  printf("all kernels ran, hash %016llx\n", (unsigned long long)expected);
  return 0;
}
