// The library's functions, looked up by name when the first of them is needed. Types and constants
// are those of Khronos's specification of OpenCL 1.2 (cl.h is not needed to build).
#include "cellm_opencl.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

typedef int32_t cl_int;
typedef uint32_t cl_uint;
typedef uint64_t cl_ulong;
typedef uint64_t cl_bitfield;

enum {
  DEVICE_TYPE_GPU = 1 << 2,
  DEVICE_TYPE_ACCELERATOR = 1 << 3,
  DEVICE_TYPE = 0x1000,
  DEVICE_GROUP_SIZE = 0x1004,
  DEVICE_ALLOCATION = 0x1010,
  DEVICE_SINGLE_CONFIG = 0x101B,
  DEVICE_MEMORY = 0x101F,
  DEVICE_NAME = 0x102B,
  DEVICE_DRIVER = 0x102D,
  DEVICE_VERSION = 0x102F,
  PLATFORM_NAME = 0x0902,
  PROGRAM_BINARY_SIZES = 0x1165,
  PROGRAM_BINARIES = 0x1166,
  PROGRAM_BUILD_LOG = 0x1183,
  FP_DENORM = 1 << 0,
  FP_FMA = 1 << 5,
  FP_CORRECTLY_ROUNDED = 1 << 7,
  MEM_READ_WRITE = 1,
  DEVICE_AVAILABLE = 0x1027,
};

#define FUNCTIONS(F)                                                                               \
  F(cl_int, clGetPlatformIDs, (cl_uint, void **, cl_uint *))                                       \
  F(cl_int, clGetPlatformInfo, (void *, cl_uint, size_t, void *, size_t *))                        \
  F(cl_int, clGetDeviceIDs, (void *, cl_bitfield, cl_uint, void **, cl_uint *))                    \
  F(cl_int, clGetDeviceInfo, (void *, cl_uint, size_t, void *, size_t *))                          \
  F(void *, clCreateContext,                                                                       \
    (const intptr_t *, cl_uint, void *const *, void *, void *, cl_int *))                          \
  F(cl_int, clReleaseContext, (void *))                                                            \
  F(void *, clCreateCommandQueue, (void *, void *, cl_bitfield, cl_int *))                         \
  F(cl_int, clReleaseCommandQueue, (void *))                                                       \
  F(void *, clCreateProgramWithSource,                                                             \
    (void *, cl_uint, const char **, const size_t *, cl_int *))                                    \
  F(void *, clCreateProgramWithBinary,                                                             \
    (void *, cl_uint, void *const *, const size_t *, const unsigned char **, cl_int *, cl_int *))  \
  F(cl_int, clReleaseProgram, (void *))                                                            \
  F(cl_int, clBuildProgram, (void *, cl_uint, void *const *, const char *, void *, void *))        \
  F(cl_int, clGetProgramInfo, (void *, cl_uint, size_t, void *, size_t *))                         \
  F(cl_int, clGetProgramBuildInfo, (void *, void *, cl_uint, size_t, void *, size_t *))            \
  F(void *, clCreateKernel, (void *, const char *, cl_int *))                                      \
  F(cl_int, clReleaseKernel, (void *))                                                             \
  F(cl_int, clSetKernelArg, (void *, cl_uint, size_t, const void *))                               \
  F(void *, clCreateBuffer, (void *, cl_bitfield, size_t, void *, cl_int *))                       \
  F(cl_int, clReleaseMemObject, (void *))                                                          \
  F(cl_int, clEnqueueWriteBuffer,                                                                  \
    (void *, void *, cl_uint, size_t, size_t, const void *, cl_uint, void *, void *))              \
  F(cl_int, clEnqueueReadBuffer,                                                                   \
    (void *, void *, cl_uint, size_t, size_t, void *, cl_uint, void *, void *))                    \
  F(cl_int, clEnqueueCopyBuffer,                                                                   \
    (void *, void *, void *, size_t, size_t, size_t, cl_uint, void *, void *))                     \
  F(cl_int, clEnqueueNDRangeKernel,                                                                \
    (void *, void *, cl_uint, const size_t *, const size_t *, const size_t *, cl_uint, void *,     \
     void *))                                                                                      \
  F(cl_int, clFinish, (void *))

#define DECLARE(result, name, parameters) static result(*name) parameters;
FUNCTIONS(DECLARE)

/// Opens the library once; not for several threads at the same time.
static int load(void) {
  static int state = -1;
  if (state >= 0) return state;
  void *library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library) return state = COCL_NO_LIBRARY;
#define FIND(result, name, parameters)                                                             \
  *(void **)&name = dlsym(library, #name);                                                         \
  if (!name) return state = COCL_NO_SYMBOL;
  FUNCTIONS(FIND)
  return state = 0;
}

static void text(void *device, cl_uint what, char *out, size_t size) {
  memset(out, 0, size);
  if (clGetDeviceInfo(device, what, size - 1, out, NULL) != 0) strncpy(out, "unknown", size - 1);
}

static uint64_t number(void *device, cl_uint what, size_t size) {
  uint64_t value = 0;
  return clGetDeviceInfo(device, what, size, &value, NULL) == 0 ? value : 0;
}

static void describe(COCLDevice *out, void *platform, void *device) {
  memset(out, 0, sizeof *out);
  out->platform = platform;
  out->device = device;
  clGetPlatformInfo(platform, PLATFORM_NAME, sizeof out->platform_name - 1, out->platform_name,
                    NULL);
  text(device, DEVICE_NAME, out->name, sizeof out->name);
  text(device, DEVICE_VERSION, out->version, sizeof out->version);
  text(device, DEVICE_DRIVER, out->driver, sizeof out->driver);
  uint64_t type = number(device, DEVICE_TYPE, 8);
  out->is_gpu = (type & (DEVICE_TYPE_GPU | DEVICE_TYPE_ACCELERATOR)) != 0;
  out->memory_bytes = number(device, DEVICE_MEMORY, 8);
  out->largest_allocation = number(device, DEVICE_ALLOCATION, 8);
  out->largest_group = number(device, DEVICE_GROUP_SIZE, sizeof(size_t));
  uint64_t floats = number(device, DEVICE_SINGLE_CONFIG, 8);
  out->has_fma = (floats & FP_FMA) != 0;
  out->has_subnormals = (floats & FP_DENORM) != 0;
  out->rounds_division = (floats & FP_CORRECTLY_ROUNDED) != 0;
}

int cocl_devices(COCLDevice *devices, int capacity, int *count) {
  *count = 0;
  int error = load();
  if (error) return error;
  void *platforms[16];
  cl_uint platform_count = 0;
  // -1001 (cl_khr_icd): the loader is there and finds no driver.
  error = clGetPlatformIDs(16, platforms, &platform_count);
  if (error) return error == -1001 ? 0 : error;
  if (platform_count > 16) platform_count = 16;
  for (cl_uint p = 0; p < platform_count; p++) {
    void *found[64];
    cl_uint found_count = 0;
    // A platform without devices, or one whose driver fails, hides no other.
    if (clGetDeviceIDs(platforms[p], 0xFFFFFFFF, 64, found, &found_count) != 0) continue;
    if (found_count > 64) found_count = 64;
    for (cl_uint d = 0; d < found_count && *count < capacity; d++)
      if (number(found[d], DEVICE_AVAILABLE, 4))
        describe(&devices[(*count)++], platforms[p], found[d]);
  }
  return 0;
}

struct COCLQueue {
  void *device;
  void *context;
  void *queue;
  void *program;
};

int cocl_open(const COCLDevice *device, COCLQueue **out) {
  int error = load();
  if (error) return error;
  COCLQueue *queue = calloc(1, sizeof *queue);
  if (!queue) return -6;
  queue->device = device->device;
  const intptr_t properties[] = {0x1084, (intptr_t)device->platform, 0};
  queue->context = clCreateContext(properties, 1, &queue->device, NULL, NULL, &error);
  if (!error) queue->queue = clCreateCommandQueue(queue->context, queue->device, 0, &error);
  if (error) {
    cocl_close(queue);
    return error;
  }
  *out = queue;
  return 0;
}

void cocl_close(COCLQueue *queue) {
  if (!queue) return;
  if (queue->queue) clFinish(queue->queue);
  if (queue->program) clReleaseProgram(queue->program);
  if (queue->queue) clReleaseCommandQueue(queue->queue);
  if (queue->context) clReleaseContext(queue->context);
  free(queue);
}

int cocl_build(COCLQueue *queue, const char *program, const void *binary, size_t binary_bytes,
               const char *options, char *log, size_t log_bytes) {
  int error = 0;
  if (log_bytes) log[0] = 0;
  if (queue->program) clReleaseProgram(queue->program);
  if (binary) {
    const unsigned char *bytes = binary;
    queue->program = clCreateProgramWithBinary(queue->context, 1, &queue->device, &binary_bytes,
                                               &bytes, NULL, &error);
  } else {
    queue->program = clCreateProgramWithSource(queue->context, 1, &program, NULL, &error);
  }
  if (error) {
    queue->program = NULL;
    return error;
  }
  error = clBuildProgram(queue->program, 1, &queue->device, options, NULL, NULL);
  if (error && log_bytes > 1) {
    size_t size = 0;
    if (clGetProgramBuildInfo(queue->program, queue->device, PROGRAM_BUILD_LOG, 0, NULL, &size) ==
            0 &&
        size > 0) {
      char *whole = calloc(1, size + 1);
      if (whole) {
        clGetProgramBuildInfo(queue->program, queue->device, PROGRAM_BUILD_LOG, size, whole, NULL);
        strncpy(log, whole, log_bytes - 1);
        log[log_bytes - 1] = 0;
        free(whole);
      }
    }
  }
  return error;
}

int cocl_binary(COCLQueue *queue, void *binary, size_t *bytes) {
  size_t size = 0;
  int error = clGetProgramInfo(queue->program, PROGRAM_BINARY_SIZES, sizeof size, &size, NULL);
  if (!error && binary) {
    if (*bytes < size) return -30;
    error = clGetProgramInfo(queue->program, PROGRAM_BINARIES, sizeof binary, &binary, NULL);
  }
  *bytes = size;
  return error;
}

int cocl_kernel(COCLQueue *queue, const char *name, void **kernel) {
  int error = 0;
  *kernel = clCreateKernel(queue->program, name, &error);
  return error;
}

void cocl_free_kernel(void *kernel) {
  if (kernel) clReleaseKernel(kernel);
}

int cocl_allocate(COCLQueue *queue, uint64_t bytes, void **memory) {
  int error = 0;
  *memory = clCreateBuffer(queue->context, MEM_READ_WRITE, bytes, NULL, &error);
  return error;
}

void cocl_free(void *memory) {
  if (memory) clReleaseMemObject(memory);
}

int cocl_write(COCLQueue *queue, void *memory, uint64_t offset, const void *from, uint64_t bytes) {
  return clEnqueueWriteBuffer(queue->queue, memory, 1, offset, bytes, from, 0, NULL, NULL);
}

int cocl_read(COCLQueue *queue, void *memory, uint64_t offset, void *to, uint64_t bytes) {
  return clEnqueueReadBuffer(queue->queue, memory, 1, offset, bytes, to, 0, NULL, NULL);
}

int cocl_copy(COCLQueue *queue, void *from, uint64_t from_offset, void *to, uint64_t to_offset,
              uint64_t bytes) {
  return clEnqueueCopyBuffer(queue->queue, from, to, from_offset, to_offset, bytes, 0, NULL, NULL);
}

int cocl_launch(COCLQueue *queue, void *kernel, const COCLArgument *arguments, int count,
                const uint64_t global[3], const uint64_t local[3]) {
  for (int i = 0; i < count; i++) {
    int error = clSetKernelArg(kernel, (cl_uint)i, arguments[i].size, &arguments[i].bits);
    if (error) return error;
  }
  size_t sizes[3] = {global[0], global[1], global[2]};
  size_t groups[3] = {local[0], local[1], local[2]};
  return clEnqueueNDRangeKernel(queue->queue, kernel, 3, NULL, sizes, local[0] ? groups : NULL, 0,
                                NULL, NULL);
}
