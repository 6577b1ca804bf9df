// Matrix products whose bits depend on nothing but the operands: each output is one chain of fused
// multiply-adds, in ascending order of the inner dimension, from 0 or from what it is added to.
// Tiles, blocks and vectors are chosen for speed and change no chain (docs/arithmetic.md).
//
// A tile of outputs lives in registers while a block of the inner dimension goes by; between two
// blocks it lies in memory, where it loses nothing. `a` is read where it lies. Of `b`, CK_DEPTH x
// CK_BLOCK_COLUMNS are copied (and turned) into panels as wide as a tile, which then lie in the
// second level cache (Goto & van de Geijn 2008, with the loops over `a` left out: one core's rows
// are few).
#include "../Levels/table.h"

void ck_product(float *out, int64_t stride, int64_t rows, int64_t columns, int64_t inner,
                const float *a, int64_t aRow, int64_t aInner, const float *b, int64_t bStride,
                int transposeB, int add) {
  static _Thread_local float packed[CK_DEPTH * CK_BLOCK_COLUMNS] __attribute__((aligned(64)));
  CKProduct p = {out, stride, rows, columns, inner, a, aRow, aInner, b, bStride, transposeB, add};
  ck_kernels()->product(&p, packed);
}
