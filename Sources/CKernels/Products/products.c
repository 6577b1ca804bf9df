// Matrix products whose bits depend on nothing but the operands: each CK_DEPTH steps of the inner
// dimension are one chain of fused multiply-adds, in ascending order, from 0; the chains are added
// one after another, and to what an output holds. Tiles and vectors are chosen for speed and change
// no chain (docs/arithmetic.md). One chain over all steps would round each of them at the size of
// the whole sum: with the large channels of SmolLM2 that costs its gradients ten times the error.
//
// A tile of outputs lives in registers while a block of the inner dimension goes by. `a` is read
// where it lies. Of `b`, CK_DEPTH x CK_BLOCK_COLUMNS are copied (and turned) into panels as wide as
// a tile, which then lie in the second level cache (Goto & van de Geijn 2008, with the loops over
// `a` left out: one core's rows are few).
#include "../Levels/table.h"

void ck_product(float *out, int64_t stride, int64_t rows, int64_t columns, int64_t inner,
                const float *a, int64_t aRow, int64_t aInner, const float *b, int64_t bStride,
                int transposeB, int add) {
  static _Thread_local float packed[CK_DEPTH * CK_BLOCK_COLUMNS] __attribute__((aligned(64)));
  CKProduct p = {out, stride, rows, columns, inner, a, aRow, aInner, b, bStride, transposeB, add};
  ck_kernels()->product(&p, packed);
}
