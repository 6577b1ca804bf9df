// What the products of all instruction sets share.
#pragma once

#include <stdint.h>

enum {
  CK_DEPTH = 576,         // steps of the inner dimension at a time; decides bits
  CK_BLOCK_COLUMNS = 96,  // columns that are packed together, a multiple of all tiles' columns
};

/// out (rows, columns) = a b, or added to what it holds.
typedef struct {
  float *out;
  int64_t stride, rows, columns, inner;
  const float *a;
  int64_t aRow, aInner;  // element (r, k) of a is at r * aRow + k * aInner; one of them is 1
  const float *b;
  int64_t bStride;
  int transposeB;
  int add;
} CKProduct;
