// The only file that includes <dnnl.h> (the C interface of oneDNN 2).
#define _GNU_SOURCE
#include "cdnnl_shim.h"

#ifdef CELLM_ONEDNN
#include <dlfcn.h>
#include <dnnl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#if DNNL_VERSION_MAJOR != 2
#error "the trait oneDNN needs oneDNN 2 (Debian 12: libdnnl-dev); other versions have another C interface"
#endif

/// Leaves the function with the status of a call that failed, through its label `end`.
#define TRY(call)                                                                                  \
  do {                                                                                             \
    status = (call);                                                                               \
    if (status != dnnl_success) goto end;                                                          \
  } while (0)

struct cdnnl_product {
  dnnl_primitive_t primitive;
  dnnl_memory_desc_t input, weight, output, scratch;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static dnnl_engine_t engine;
static dnnl_status_t engine_status;
/// The library's OpenMP run time is looked up, since builds differ in which one they use, if any.
static int (*omp_get)(void);
static void (*omp_set)(int);

// dnnl_status_t dnnl_engine_create(dnnl_engine_t *engine, dnnl_engine_kind_t kind, size_t index)
static void prepare(void) {
  engine_status = dnnl_engine_create(&engine, dnnl_cpu, 0);
  omp_get = (int (*)(void))dlsym(RTLD_DEFAULT, "omp_get_max_threads");
  omp_set = (void (*)(int))dlsym(RTLD_DEFAULT, "omp_set_num_threads");
}

static dnnl_status_t ready(void) {
  pthread_once(&once, prepare);
  return engine_status;
}

/// Sets the threads of this thread's parallel regions and returns what was set before.
static int set_threads(int count) {
  ready();
  if (!omp_get || !omp_set) return count;
  int before = omp_get();
  if (before != count) omp_set(count);
  return before;
}

int cdnnl_is_built(void) { return 1; }

// dnnl_cpu_isa_t dnnl_get_effective_cpu_isa(void): a set of bits; what ONEDNN_MAX_CPU_ISA forbids is not in it
int cdnnl_has_bf16(void) {
  unsigned needed = dnnl_cpu_isa_avx512_core_bf16;
  return ((unsigned)dnnl_get_effective_cpu_isa() & needed) == needed;
}

const char *cdnnl_version(void) {
  static char text[48];
  const dnnl_version_t *version = dnnl_version();
  snprintf(text, sizeof text, "%d.%d.%d", version->major, version->minor, version->patch);
  return text;
}

/// The description of one product; the weight's order is the library's choice.
static dnnl_status_t describe(dnnl_primitive_desc_t *result, int64_t rows, int64_t inner,
                              int64_t columns, int adds) {
  dnnl_status_t status;
  dnnl_primitive_attr_t attributes = NULL;
  dnnl_post_ops_t sum = NULL;
  dnnl_memory_desc_t input, weight, output;
  dnnl_matmul_desc_t product;
  dnnl_dims_t in = {rows, inner}, by = {inner, columns}, out = {rows, columns};
  TRY(ready());
  // dnnl_status_t dnnl_memory_desc_init_by_tag(memory_desc, ndims, dims, data_type, tag)
  TRY(dnnl_memory_desc_init_by_tag(&input, 2, in, dnnl_bf16, dnnl_ab));
  TRY(dnnl_memory_desc_init_by_tag(&weight, 2, by, dnnl_bf16, dnnl_format_tag_any));
  TRY(dnnl_memory_desc_init_by_tag(&output, 2, out, dnnl_f32, dnnl_ab));
  // dnnl_status_t dnnl_matmul_desc_init(matmul_desc, src_desc, weights_desc, bias_desc, dst_desc)
  TRY(dnnl_matmul_desc_init(&product, &input, &weight, NULL, &output));
  TRY(dnnl_primitive_attr_create(&attributes));
  // The scratch memory is the caller's, so that threads can share a primitive.
  TRY(dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user));
  if (adds) {
    TRY(dnnl_post_ops_create(&sum));
    TRY(dnnl_post_ops_append_sum(sum, 1.0f));
    TRY(dnnl_primitive_attr_set_post_ops(attributes, sum));
  }
  // dnnl_status_t dnnl_primitive_desc_create(primitive_desc, op_desc, attr, engine, hint)
  TRY(dnnl_primitive_desc_create(result, &product, attributes, engine, NULL));
end:
  if (sum) dnnl_post_ops_destroy(sum);
  if (attributes) dnnl_primitive_attr_destroy(attributes);
  return status;
}

/// The order that the library chooses for a weight; it is the same for any number of rows.
static dnnl_status_t describe_packed(dnnl_memory_desc_t *packed, int64_t inner, int64_t columns) {
  dnnl_primitive_desc_t description;
  dnnl_status_t status = describe(&description, 1, inner, columns, 0);
  if (status != dnnl_success) return status;
  *packed = *dnnl_primitive_desc_query_md(description, dnnl_query_weights_md, 0);
  return dnnl_primitive_desc_destroy(description);
}

int cdnnl_packed_bytes(int64_t inner, int64_t columns, size_t *bytes) {
  dnnl_memory_desc_t packed;
  dnnl_status_t status = describe_packed(&packed, inner, columns);
  if (status == dnnl_success) *bytes = dnnl_memory_desc_get_size(&packed);
  return status;
}

int cdnnl_pack(void *packed, const float *weight, int64_t inner, int64_t columns,
               int64_t innerStride, int64_t columnStride) {
  dnnl_status_t status;
  int threads = set_threads(1);
  dnnl_memory_desc_t from, to;
  dnnl_primitive_desc_t description = NULL;
  dnnl_primitive_t reorder = NULL;
  dnnl_memory_t source = NULL, target = NULL;
  dnnl_stream_t stream = NULL;
  dnnl_dims_t sizes = {inner, columns}, strides = {innerStride, columnStride};
  TRY(describe_packed(&to, inner, columns));
  // dnnl_status_t dnnl_memory_desc_init_by_strides(memory_desc, ndims, dims, data_type, strides)
  TRY(dnnl_memory_desc_init_by_strides(&from, 2, sizes, dnnl_f32, strides));
  // dnnl_status_t dnnl_reorder_primitive_desc_create(desc, src_desc, src_engine, dst_desc, dst_engine, attr)
  TRY(dnnl_reorder_primitive_desc_create(&description, &from, engine, &to, engine, NULL));
  TRY(dnnl_primitive_create(&reorder, description));
  TRY(dnnl_memory_create(&source, &from, engine, (void *)weight));
  TRY(dnnl_memory_create(&target, &to, engine, packed));
  TRY(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags));
  dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, source}, {DNNL_ARG_TO, target}};
  TRY(dnnl_primitive_execute(reorder, stream, 2, arguments));
  TRY(dnnl_stream_wait(stream));
end:
  if (stream) dnnl_stream_destroy(stream);
  if (target) dnnl_memory_destroy(target);
  if (source) dnnl_memory_destroy(source);
  if (reorder) dnnl_primitive_destroy(reorder);
  if (description) dnnl_primitive_desc_destroy(description);
  set_threads(threads);
  return status;
}

int cdnnl_product_create(cdnnl_product **product, int64_t rows, int64_t inner, int64_t columns,
                         int adds) {
  dnnl_status_t status;
  int threads = set_threads(1);
  dnnl_primitive_desc_t description = NULL;
  cdnnl_product *made = calloc(1, sizeof *made);
  if (!made) return dnnl_out_of_memory;
  TRY(describe(&description, rows, inner, columns, adds));
  made->input = *dnnl_primitive_desc_query_md(description, dnnl_query_src_md, 0);
  made->weight = *dnnl_primitive_desc_query_md(description, dnnl_query_weights_md, 0);
  made->output = *dnnl_primitive_desc_query_md(description, dnnl_query_dst_md, 0);
  made->scratch = *dnnl_primitive_desc_query_md(description, dnnl_query_scratchpad_md, 0);
  // dnnl_status_t dnnl_primitive_create(dnnl_primitive_t *primitive, primitive_desc)
  TRY(dnnl_primitive_create(&made->primitive, description));
  *product = made;
end:
  if (description) dnnl_primitive_desc_destroy(description);
  if (status != dnnl_success) free(made);
  set_threads(threads);
  return status;
}

size_t cdnnl_product_scratch_bytes(const cdnnl_product *product) {
  return dnnl_memory_desc_get_size(&product->scratch);
}

int cdnnl_product_run(const cdnnl_product *product, float *output, const uint16_t *input,
                      const void *packed, void *scratch) {
  dnnl_status_t status;
  int threads = set_threads(1);
  dnnl_memory_t from = NULL, by = NULL, to = NULL, pad = NULL;
  dnnl_stream_t stream = NULL;
  // dnnl_status_t dnnl_memory_create(dnnl_memory_t *memory, memory_desc, engine, void *handle)
  TRY(dnnl_memory_create(&from, &product->input, engine, (void *)input));
  TRY(dnnl_memory_create(&by, &product->weight, engine, (void *)packed));
  TRY(dnnl_memory_create(&to, &product->output, engine, output));
  TRY(dnnl_memory_create(&pad, &product->scratch, engine, scratch));
  TRY(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags));
  dnnl_exec_arg_t arguments[] = {
      {DNNL_ARG_SRC, from}, {DNNL_ARG_WEIGHTS, by}, {DNNL_ARG_DST, to}, {DNNL_ARG_SCRATCHPAD, pad}};
  // dnnl_status_t dnnl_primitive_execute(primitive, stream, int nargs, const dnnl_exec_arg_t *args)
  TRY(dnnl_primitive_execute(product->primitive, stream, 4, arguments));
  TRY(dnnl_stream_wait(stream));
end:
  if (stream) dnnl_stream_destroy(stream);
  if (pad) dnnl_memory_destroy(pad);
  if (to) dnnl_memory_destroy(to);
  if (by) dnnl_memory_destroy(by);
  if (from) dnnl_memory_destroy(from);
  set_threads(threads);
  return status;
}

#else

int cdnnl_is_built(void) { return 0; }

int cdnnl_has_bf16(void) { return 0; }

const char *cdnnl_version(void) { return ""; }

int cdnnl_packed_bytes(int64_t inner, int64_t columns, size_t *bytes) { return CDNNL_NOT_BUILT; }

int cdnnl_pack(void *packed, const float *weight, int64_t inner, int64_t columns,
               int64_t innerStride, int64_t columnStride) {
  return CDNNL_NOT_BUILT;
}

int cdnnl_product_create(cdnnl_product **product, int64_t rows, int64_t inner, int64_t columns,
                         int adds) {
  return CDNNL_NOT_BUILT;
}

size_t cdnnl_product_scratch_bytes(const cdnnl_product *product) { return 0; }

int cdnnl_product_run(const cdnnl_product *product, float *output, const uint16_t *input,
                      const void *packed, void *scratch) {
  return CDNNL_NOT_BUILT;
}

#endif
