// The products of one instruction set. Before this file is included, these are defined:
//   CK_VECTOR, CK_WIDTH           a vector of floats and the number of its lanes
//   CK_ROWS                       the most rows of a tile; a tile has CK_ROWS x 2 vectors of sums
//   CK_LOAD(p), CK_STORE(p, v), CK_SPREAD(x), CK_ADD(a, b)
//   CK_FUSED(a, b, c)             c + a * b, rounded once
//   CK_TURN(to, from, stride)     writes a square of CK_WIDTH x CK_WIDTH floats transposed, rows of
//                                 `to` being CK_PANEL apart
//   CK(name)                      the name of a kernel of this instruction set
#include <stdint.h>

#include "../Vector/arithmetic.h"
#include "products.h"

enum {
  CK_PANEL = 2 * CK_WIDTH,  // columns of a tile
  CK_FEW = 48,              // rows below which b is read where it lies
};

#if defined(__clang__)
#define CK_UNROLL _Pragma("clang loop unroll(full)")
#else
#define CK_UNROLL _Pragma("GCC unroll 16")
#endif

/// One tile: `rows` x `vectors` vectors of out. Each output is one chain of fused multiply-adds
/// over k, from 0; `adds` says that it is added to what out holds.
CK_INLINE void ck_tile(float *out, int64_t stride, const float *a, int64_t aRow, int64_t aInner,
                       const float *b, int64_t bStride, int64_t inner, int adds, const int rows,
                       const int vectors) {
  CK_VECTOR sums[CK_ROWS][2];
  CK_UNROLL
  for (int r = 0; r < rows; r++) {
    CK_UNROLL
    for (int v = 0; v < vectors; v++) sums[r][v] = CK_SPREAD(0.0f);
  }
#pragma GCC unroll 1
  for (int64_t k = 0; k < inner; k++) {
    CK_VECTOR columns[2];
    CK_UNROLL
    for (int v = 0; v < vectors; v++) columns[v] = CK_LOAD(b + v * CK_WIDTH);
    CK_UNROLL
    for (int r = 0; r < rows; r++) {
      CK_VECTOR value = CK_SPREAD(a[r * aRow]);
      CK_UNROLL
      for (int v = 0; v < vectors; v++) sums[r][v] = CK_FUSED(value, columns[v], sums[r][v]);
    }
    a += aInner;
    b += bStride;
  }
  CK_UNROLL
  for (int r = 0; r < rows; r++) {
    CK_UNROLL
    for (int v = 0; v < vectors; v++) {
      float *target = out + r * stride + v * CK_WIDTH;
      CK_STORE(target, adds ? CK_ADD(CK_LOAD(target), sums[r][v]) : sums[r][v]);
    }
  }
}

#define CK_CASE(n)                                                                                 \
  case n:                                                                                          \
    ck_tile(out, stride, a, aRow, aInner, b, bStride, inner, adds, n, vectors);                    \
    break;

/// A tile of fewer rows.
CK_INLINE void ck_last_rows(float *out, int64_t stride, int64_t rows, const float *a, int64_t aRow,
                            int64_t aInner, const float *b, int64_t bStride, int64_t inner,
                            int adds, const int vectors) {
  switch (rows) {
    CK_CASE(1)
    CK_CASE(2)
    CK_CASE(3)
#if CK_ROWS > 4
    CK_CASE(4)
    CK_CASE(5)
#endif
#if CK_ROWS > 6
    CK_CASE(6)
    CK_CASE(7)
    CK_CASE(8)
    CK_CASE(9)
    CK_CASE(10)
    CK_CASE(11)
#endif
  default: break;
  }
}

static void ck_last_rows_1(float *out, int64_t stride, int64_t rows, const float *a, int64_t aRow,
                           int64_t aInner, const float *b, int64_t bStride, int64_t inner,
                           int adds) {
  ck_last_rows(out, stride, rows, a, aRow, aInner, b, bStride, inner, adds, 1);
}
static void ck_last_rows_2(float *out, int64_t stride, int64_t rows, const float *a, int64_t aRow,
                           int64_t aInner, const float *b, int64_t bStride, int64_t inner,
                           int adds) {
  ck_last_rows(out, stride, rows, a, aRow, aInner, b, bStride, inner, adds, 2);
}

/// A whole tile or less, of 1 or 2 whole vectors.
CK_INLINE void ck_whole(float *out, int64_t stride, int64_t rows, const float *a, int64_t aRow,
                        int64_t aInner, const float *b, int64_t bStride, int64_t inner, int adds,
                        const int vectors) {
  if (rows == CK_ROWS) {
    // Strides that are 1 are said to the compiler: a transposed a, and rows that lie one after
    // another.
    if (aRow == 1)
      ck_tile(out, stride, a, 1, aInner, b, bStride, inner, adds, CK_ROWS, vectors);
    else
      ck_tile(out, stride, a, aRow, 1, b, bStride, inner, adds, CK_ROWS, vectors);
  } else if (vectors == 1)
    ck_last_rows_1(out, stride, rows, a, aRow, aInner, b, bStride, inner, adds);
  else
    ck_last_rows_2(out, stride, rows, a, aRow, aInner, b, bStride, inner, adds);
}

/// A tile of `columns` <= CK_PANEL; b's rows have whole vectors. What is no whole vector of out
/// goes through a copy.
static void ck_panel_tile(float *out, int64_t stride, int64_t rows, int64_t columns, const float *a,
                          int64_t aRow, int64_t aInner, const float *b, int64_t bStride,
                          int64_t inner, int adds) {
  if (columns == CK_PANEL) {
    ck_whole(out, stride, rows, a, aRow, aInner, b, bStride, inner, adds, 2);
  } else if (columns == CK_WIDTH) {
    ck_whole(out, stride, rows, a, aRow, aInner, b, bStride, inner, adds, 1);
  } else {
    float copy[CK_ROWS * CK_PANEL] __attribute__((aligned(64)));
    if (columns > CK_WIDTH)
      ck_whole(copy, CK_PANEL, rows, a, aRow, aInner, b, bStride, inner, 0, 2);
    else
      ck_whole(copy, CK_PANEL, rows, a, aRow, aInner, b, bStride, inner, 0, 1);
    for (int64_t r = 0; r < rows; r++, out += stride) {
      const float *sums = copy + r * CK_PANEL;
      for (int64_t c = 0; c < columns; c++) out[c] = adds ? out[c] + sums[c] : sums[c];
    }
  }
}

/// packed (depth, CK_PANEL) = columns first ..< first + CK_PANEL of b, zeros behind its last
/// column.
static void ck_pack_panel(float *packed, const CKProduct *p, int64_t k, int64_t depth,
                          int64_t first, int64_t columns) {
  if (!p->transposeB) {
    const float *b = p->b + k * p->bStride + first;
    if (columns == CK_PANEL) {
      for (int64_t i = 0; i < depth; i++, b += p->bStride) {
        CK_STORE(packed + i * CK_PANEL, CK_LOAD(b));
        CK_STORE(packed + i * CK_PANEL + CK_WIDTH, CK_LOAD(b + CK_WIDTH));
      }
    } else {
      for (int64_t i = 0; i < depth; i++, b += p->bStride) {
        for (int64_t c = 0; c < columns; c++) packed[i * CK_PANEL + c] = b[c];
        for (int64_t c = columns; c < CK_PANEL; c++) packed[i * CK_PANEL + c] = 0;
      }
    }
    return;
  }
  const float *b = p->b + first * p->bStride + k;
  for (int64_t c = 0; c < CK_PANEL; c += CK_WIDTH) {
    if (c >= columns && columns <= CK_WIDTH) break;  // a tile of one vector does not read it
    int64_t i = 0;
    if (c + CK_WIDTH <= columns)
      for (; i + CK_WIDTH <= depth; i += CK_WIDTH)
        CK_TURN(packed + i * CK_PANEL + c, b + c * p->bStride + i, p->bStride);
    for (; i < depth; i++)
      for (int64_t j = c; j < c + CK_WIDTH; j++)
        packed[i * CK_PANEL + j] = j < columns ? b[j * p->bStride + i] : 0;
  }
}

static void CK(product)(const CKProduct *p, float *packed) {
  int few = p->rows <= CK_FEW && !p->transposeB;
  for (int64_t k = 0; k < p->inner; k += CK_DEPTH) {
    int64_t depth = p->inner - k < CK_DEPTH ? p->inner - k : CK_DEPTH;
    int adds = p->add || k > 0;
    for (int64_t c = 0; c < p->columns; c += CK_BLOCK_COLUMNS) {
      int64_t end = c + CK_BLOCK_COLUMNS < p->columns ? c + CK_BLOCK_COLUMNS : p->columns;
      for (int64_t j = c; j < end; j += CK_PANEL)
        if (!few || end - j < CK_PANEL)
          ck_pack_panel(packed + (j - c) * depth, p, k, depth, j,
                        end - j < CK_PANEL ? end - j : CK_PANEL);
      for (int64_t r = 0; r < p->rows; r += CK_ROWS) {
        int64_t rows = p->rows - r < CK_ROWS ? p->rows - r : CK_ROWS;
        const float *a = p->a + r * p->aRow + k * p->aInner;
        for (int64_t j = c; j < end; j += CK_PANEL) {
          int64_t columns = end - j < CK_PANEL ? end - j : CK_PANEL;
          int inPlace = few && columns == CK_PANEL;
          ck_panel_tile(p->out + r * p->stride + j, p->stride, rows, columns, a, p->aRow,
                        p->aInner, inPlace ? p->b + k * p->bStride + j : packed + (j - c) * depth,
                        inPlace ? p->bStride : CK_PANEL, depth, adds);
        }
      }
    }
  }
}
