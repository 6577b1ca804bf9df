// Blocks of 32 weights as GGUF stores them: a scale in fp16, then codes. Q4_1 has a smallest value
// in fp16 behind the scale. A byte of four-bit codes holds weight j in its low half, j + 16 in its
// high.
#pragma once

#include <stdint.h>
#include <string.h>

#include "../include/cellm_kernels.h"

/// The fp16 value at `bytes`, exactly.
static inline float ck_from_half(const uint8_t *bytes) {
  uint32_t half = (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8;
  uint32_t sign = (half & 0x8000u) << 16, exponent = half >> 10 & 31u, rest = half & 0x3ffu;
  uint32_t bits;
  if (exponent == 0) {
    // A subnormal value is rest * 2^-24.
    float value = (float)rest * 0x1p-24f;
    memcpy(&bits, &value, sizeof bits);
    bits |= sign;
  } else if (exponent == 31) {
    bits = sign | 0x7f800000u | rest << 13;
  } else {
    bits = sign | (exponent + 112u) << 23 | rest << 13;
  }
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}
