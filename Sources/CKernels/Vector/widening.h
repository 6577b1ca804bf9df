// Weights in blocks of 32 with one scale, as GGUF stores them, widened to fp32.
#include "../Products/blocks.h"
#include "arithmetic.h"

static void CK(widen_blocks)(float *out, const void *blocks, int64_t count, int format) {
  const uint8_t *from = blocks;
  for (int64_t i = 0; i < count; i += CK_BLOCK_WEIGHTS) {
    float *to = out + i;
    float d = ck_from_half(from);
    if (format == CK_Q8_0) {
      const int8_t *q = (const int8_t *)from + 2;
      for (int j = 0; j < CK_BLOCK_WEIGHTS; j++) to[j] = (float)q[j] * d;
    } else if (format == CK_Q4_0) {
      const uint8_t *q = from + 2;
      for (int j = 0; j < 16; j++) to[j] = (float)((int)(q[j] & 15) - 8) * d;
      for (int j = 0; j < 16; j++) to[j + 16] = (float)((int)(q[j] >> 4) - 8) * d;
    } else {
      float m = ck_from_half(from + 2);
      const uint8_t *q = from + 4;
      for (int j = 0; j < 16; j++) to[j] = (float)(q[j] & 15) * d + m;
      for (int j = 0; j < 16; j++) to[j + 16] = (float)(q[j] >> 4) * d + m;
    }
    from += ck_block_bytes(format);
  }
}
