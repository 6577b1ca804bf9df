// Weights in blocks of 32 with one scale, widened to fp32, as Sources/CKernels/Vector/widening.h: a
// work-item for each weight. The numbers of the formats are those of cellm_kernels.h.

#define Q8_0 0
#define Q4_0 1

__kernel void widen_blocks(MUT(out), __global const uchar *blocks_memory, ulong blocks_first,
                           long count, int format) {
  USE_MUT(out);
  const long i = get_global_id(0);
  if (i >= count) return;
  const int j = i % 32;
  const int bytes = format == Q8_0 ? 34 : format == Q4_0 ? 18 : 20;
  __global const uchar *block = blocks_memory + 4 * blocks_first + i / 32 * bytes;
  const float d = vload_half(0, (__global const half *)block);
  if (format == Q8_0) {
    out[i] = (float)(char)block[2 + j] * d;
    return;
  }
  const uchar pair = block[(format == Q4_0 ? 2 : 4) + j % 16];
  const int code = j < 16 ? pair & 15 : pair >> 4;
  out[i] = format == Q4_0 ? (float)(code - 8) * d
                          : (float)code * d + vload_half(0, (__global const half *)(block + 2));
}
