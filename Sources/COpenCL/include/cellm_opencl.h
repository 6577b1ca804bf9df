// OpenCL 1.2 by the few calls that the program makes. The library is opened when it is asked for,
// so that nothing depends on it to build or to start. Functions return 0, or an error: an OpenCL
// code below 0, or one of the codes here.
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { COCL_NO_LIBRARY = 1, COCL_NO_SYMBOL = 2 };

/// A device as it describes itself.
typedef struct {
  void *platform;
  void *device;
  char platform_name[128];
  char name[256];
  char version[128];
  char driver[128];
  /// 1 for a GPU or an accelerator, 0 for a CPU.
  int is_gpu;
  uint64_t memory_bytes;
  uint64_t largest_allocation;
  uint64_t largest_group;
  /// 1 where fp32 has fused multiply-adds, subnormal numbers, and correctly rounded division and
  /// square root.
  int has_fma, has_subnormals, rounds_division;
} COCLDevice;

/// The devices of all platforms, at most `capacity`; `*count` is set to how many were written.
int cocl_devices(COCLDevice *devices, int capacity, int *count);

/// A context with one queue that runs commands in order.
typedef struct COCLQueue COCLQueue;

/// Makes the context and the queue of a device.
int cocl_open(const COCLDevice *device, COCLQueue **queue);
/// Waits for all commands, and frees queue, program and context.
void cocl_close(COCLQueue *queue);

/// Compiles a program from its text, or from the `binary` of an earlier build. On failure `log` has
/// what the compiler said.
int cocl_build(COCLQueue *queue, const char *text, const void *binary, size_t binary_bytes,
               const char *options, char *log, size_t log_bytes);
/// The binary of the program that was built; `*bytes` alone where `binary` is NULL.
int cocl_binary(COCLQueue *queue, void *binary, size_t *bytes);
/// A kernel of the program.
int cocl_kernel(COCLQueue *queue, const char *name, void **kernel);
/// Frees a kernel.
void cocl_free_kernel(void *kernel);

/// Memory of the device.
int cocl_allocate(COCLQueue *queue, uint64_t bytes, void **memory);
/// Frees memory once the commands that use it have ended.
void cocl_free(void *memory);
/// Both wait for all commands before, and for themselves.
int cocl_write(COCLQueue *queue, void *memory, uint64_t offset, const void *from, uint64_t bytes);
int cocl_read(COCLQueue *queue, void *memory, uint64_t offset, void *to, uint64_t bytes);
/// Copies within the device.
int cocl_copy(COCLQueue *queue, void *from, uint64_t from_offset, void *to, uint64_t to_offset,
              uint64_t bytes);

/// An argument of a kernel: its bytes, at most 8.
typedef struct {
  uint64_t bits;
  size_t size;
} COCLArgument;

/// Enqueues a kernel over three dimensions; `local` of zeros lets the device choose.
int cocl_launch(COCLQueue *queue, void *kernel, const COCLArgument *arguments, int count,
                const uint64_t global[3], const uint64_t local[3]);
