// Weights in blocks of 32: rounding as ggml's reference does, and products with such matrices.
#include "blocks.h"

#include <math.h>

#include "products.h"

int64_t ck_block_bytes(int format) { return format == CK_Q8_0 ? 34 : format == CK_Q4_0 ? 18 : 20; }

/// Writes a value as fp16, rounded to the nearest, ties to even.
static void ck_to_half(uint8_t *bytes, float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  uint32_t sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu, half;
  if (magnitude >= 0x477ff000u) {
    half = magnitude > 0x7f800000u ? 0x7e00u : 0x7c00u;
  } else if (magnitude < 0x38800000u) {
    // Subnormal: adding 0.5 leaves the multiple of 2^-24 in the last bits.
    float moved;
    memcpy(&moved, &magnitude, sizeof moved);
    moved += 0.5f;
    memcpy(&half, &moved, sizeof half);
    half -= 0x3f000000u;
  } else {
    half = (magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
  }
  half |= sign;
  bytes[0] = (uint8_t)half;
  bytes[1] = (uint8_t)(half >> 8);
}

static int ck_within(float x, int most) { return x < 0 ? 0 : x > (float)most ? most : (int)x; }

static void ck_round_q8_0(uint8_t *to, const float *x) {
  float largest = 0;
  for (int j = 0; j < CK_BLOCK_WEIGHTS; j++) largest = fmaxf(largest, fabsf(x[j]));
  float d = largest / 127.0f, inverse = d != 0 ? 1.0f / d : 0.0f;
  ck_to_half(to, d);
  for (int j = 0; j < CK_BLOCK_WEIGHTS; j++) to[2 + j] = (uint8_t)(int8_t)roundf(x[j] * inverse);
}

static void ck_round_q4_0(uint8_t *to, const float *x) {
  float largest = 0;
  for (int j = 0; j < CK_BLOCK_WEIGHTS; j++)
    if (fabsf(x[j]) > fabsf(largest)) largest = x[j];
  float d = largest / -8.0f, inverse = d != 0 ? 1.0f / d : 0.0f;
  ck_to_half(to, d);
  for (int j = 0; j < 16; j++) {
    int low = ck_within((float)trunc((double)x[j] * inverse + 8.5), 15);
    int high = ck_within((float)trunc((double)x[j + 16] * inverse + 8.5), 15);
    to[2 + j] = (uint8_t)(low | high << 4);
  }
}

static void ck_round_q4_1(uint8_t *to, const float *x) {
  float least = x[0], most = x[0];
  for (int j = 1; j < CK_BLOCK_WEIGHTS; j++) {
    least = x[j] < least ? x[j] : least;
    most = x[j] > most ? x[j] : most;
  }
  float d = (most - least) / 15.0f, inverse = d != 0 ? 1.0f / d : 0.0f;
  ck_to_half(to, d);
  ck_to_half(to + 2, least);
  for (int j = 0; j < 16; j++) {
    float low = (x[j] - least) * inverse, high = (x[j + 16] - least) * inverse;
    to[4 + j] = (uint8_t)(ck_within(low + 0.5f, 15) | ck_within(high + 0.5f, 15) << 4);
  }
}

void ck_round_to_blocks(void *blocks, const float *in, int64_t count, int format) {
  uint8_t *to = blocks;
  for (int64_t i = 0; i < count; i += CK_BLOCK_WEIGHTS, to += ck_block_bytes(format)) {
    if (format == CK_Q8_0)
      ck_round_q8_0(to, in + i);
    else if (format == CK_Q4_0)
      ck_round_q4_0(to, in + i);
    else
      ck_round_q4_1(to, in + i);
  }
}

void ck_block_product(float *out, const float *a, const void *blocks, int64_t rows, int64_t outputs,
                      int64_t inputs, int format, int backward, int add) {
  // A tile of the matrix at a time. A product is cut at the same steps, so the bits are those of a
  // product with the widened matrix.
  static _Thread_local float tile[CK_DEPTH * CK_BLOCK_COLUMNS] __attribute__((aligned(64)));
  int64_t bytes = ck_block_bytes(format), stride = inputs / CK_BLOCK_WEIGHTS * bytes;
  int64_t columns = backward ? inputs : outputs, inner = backward ? outputs : inputs;
  for (int64_t c = 0; c < columns; c += CK_BLOCK_COLUMNS) {
    int64_t width = columns - c < CK_BLOCK_COLUMNS ? columns - c : CK_BLOCK_COLUMNS;
    for (int64_t k = 0; k < inner; k += CK_DEPTH) {
      int64_t depth = inner - k < CK_DEPTH ? inner - k : CK_DEPTH;
      int64_t firstRow = backward ? k : c, tileRows = backward ? depth : width;
      int64_t firstWeight = backward ? c : k, tileWidth = backward ? width : depth;
      for (int64_t r = 0; r < tileRows; r++)
        ck_widen_blocks(tile + r * tileWidth,
                        (const uint8_t *)blocks + (firstRow + r) * stride +
                            firstWeight / CK_BLOCK_WEIGHTS * bytes,
                        tileWidth, format);
      ck_product(out + c, columns, rows, width, depth, a + k, inner, 1, tile, tileWidth, !backward,
                 add || k > 0);
    }
  }
}
