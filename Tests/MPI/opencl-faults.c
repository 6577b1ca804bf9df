// A libOpenCL.so.1 that calls the real one ($OPENCL_REAL) and fails as $OPENCL_FAULT says:
//   no-platform    no driver is installed (-1001)
//   no-device      the platform has no device
//   build          kernels do not compile
//   fast-math      kernels are compiled with rules that are not those of IEEE 754
//   small-memory   the device has 64 kB
//   lost           launches fail after 3000 of them
//   gpu            nothing fails; devices say that they are GPUs
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef uintptr_t word;
typedef word (*function)(word, word, word, word, word, word, word, word, word);

static int fault(const char *name) {
  const char *asked = getenv("OPENCL_FAULT");
  return asked && strcmp(asked, name) == 0;
}

static function real(const char *name) {
  static void *library;
  if (!library) library = dlopen(getenv("OPENCL_REAL"), RTLD_NOW | RTLD_LOCAL);
  return (function)dlsym(library, name);
}

// Every argument is a pointer or an integer, so words carry them all.
#define PASS(name)                                                                                 \
  word name(word a, word b, word c, word d, word e, word f, word g, word h, word i) {              \
    return real(#name)(a, b, c, d, e, f, g, h, i);                                                 \
  }
PASS(clGetPlatformInfo)
PASS(clCreateContext)
PASS(clReleaseContext)
PASS(clCreateCommandQueue)
PASS(clReleaseCommandQueue)
PASS(clCreateProgramWithSource)
PASS(clCreateProgramWithBinary)
PASS(clReleaseProgram)
PASS(clGetProgramInfo)
PASS(clGetProgramBuildInfo)
PASS(clCreateKernel)
PASS(clReleaseKernel)
PASS(clSetKernelArg)
PASS(clCreateBuffer)
PASS(clReleaseMemObject)
PASS(clEnqueueWriteBuffer)
PASS(clEnqueueReadBuffer)
PASS(clEnqueueCopyBuffer)
PASS(clFlush)
PASS(clFinish)

word clGetPlatformIDs(word a, word b, word c) {
  if (fault("no-platform")) return (word)-1001;
  return real("clGetPlatformIDs")(a, b, c, 0, 0, 0, 0, 0, 0);
}

word clGetDeviceIDs(word a, word b, word c, word d, word e) {
  if (fault("no-device")) return (word)-1;
  return real("clGetDeviceIDs")(a, b, c, d, e, 0, 0, 0, 0);
}

word clGetDeviceInfo(word a, word what, word c, word out, word e) {
  word code = real("clGetDeviceInfo")(a, what, c, out, e, 0, 0, 0, 0);
  if (fault("small-memory") && (uint32_t)what == 0x101F && out) *(uint64_t *)out = 65536;
  if (fault("gpu") && (uint32_t)what == 0x1000 && out) *(uint64_t *)out = 4;
  return code;
}

word clBuildProgram(word a, word b, word c, word options, word e, word f) {
  if (fault("build")) return (word)-11;
  const char *loose = "-cl-std=CL1.2 -cl-fast-relaxed-math -cl-denorms-are-zero";
  return real("clBuildProgram")(a, b, c, fault("fast-math") ? (word)loose : options, e, f, 0, 0, 0);
}

word clEnqueueNDRangeKernel(word a, word b, word c, word d, word e, word f, word g, word h, word i) {
  static int launches;
  if (fault("lost") && ++launches > 3000) return (word)-36;
  return real("clEnqueueNDRangeKernel")(a, b, c, d, e, f, g, h, i);
}
