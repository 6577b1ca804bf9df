// oneDNN's bf16 matrix product: output (rows, columns), fp32 = input (rows, inner), bf16 * weight
// (inner, columns), bf16, summed in fp32. No loops and no algorithms: each function makes or runs one
// primitive of the library, on one thread.
//
// Without the package trait `oneDNN` nothing of the library is named: cdnnl_is_built() is 0 and the
// other functions return CDNNL_NOT_BUILT.
#pragma once

#include <stddef.h>
#include <stdint.h>

/// The code of every function in a build without oneDNN; other codes are dnnl_status_t, 0 for success.
enum { CDNNL_NOT_BUILT = -1 };

/// A product of fixed sizes, compiled for this CPU. Threads may share one.
typedef struct cdnnl_product cdnnl_product;

/// Whether the library is in this build.
int cdnnl_is_built(void);
/// Whether the library uses the CPU's own bf16 products (AVX512-BF16 or AMX); it emulates them elsewhere.
int cdnnl_has_bf16(void);
/// "major.minor.patch", or an empty string.
const char *cdnnl_version(void);

/// Bytes of a packed weight (inner, columns); they depend on the CPU.
int cdnnl_packed_bytes(int64_t inner, int64_t columns, size_t *bytes);
/// Rounds a weight (inner, columns) with the given strides to bf16 in the library's own order.
int cdnnl_pack(void *packed, const float *weight, int64_t inner, int64_t columns,
               int64_t innerStride, int64_t columnStride);

/// Makes a product, which adds to its output if `adds` is set. Never freed: callers keep them.
int cdnnl_product_create(cdnnl_product **product, int64_t rows, int64_t inner, int64_t columns,
                         int adds);
/// Bytes of scratch memory that one run of the product needs.
size_t cdnnl_product_scratch_bytes(const cdnnl_product *product);
/// input is dense bf16, packed is from cdnnl_pack, output is dense.
int cdnnl_product_run(const cdnnl_product *product, float *output, const uint16_t *input,
                      const void *packed, void *scratch);
