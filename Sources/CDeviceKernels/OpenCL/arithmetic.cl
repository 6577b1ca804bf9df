// The arithmetic of OpenCL kernels: the names of Sources/CKernels/Vector/arithmetic.h, so that the
// polynomials of functions.h and activation_functions.h are the same text on every device. The
// other files follow in one program (Sources/CDeviceKernels/sources.c).
#pragma OPENCL FP_CONTRACT OFF

typedef int int32_t;
typedef long int64_t;
typedef uint uint32_t;

#define CK_INLINE static inline __attribute__((always_inline))
#define fabsf fabs
#define copysignf copysign

CK_INLINE float ck_fma(float a, float b, float c) { return fma(a, b, c); }
CK_INLINE float ck_from_bits(uint32_t bits) { return as_float(bits); }
CK_INLINE uint32_t ck_to_bits(float value) { return as_uint(value); }

// A buffer argument is a memory object and the place of its first element. `MUT(out)` and `SEE(in)`
// declare such arguments; `USE_MUT(out)` and `USE(in)` give them their names.
#define MUT(name) __global float *name##_memory, ulong name##_first
#define SEE(name) __global const float *name##_memory, ulong name##_first
#define MUT_INT(name) __global int *name##_memory, ulong name##_first
#define SEE_INT(name) __global const int *name##_memory, ulong name##_first
#define USE_MUT(name) __global float *name = name##_memory + name##_first
#define USE(name) __global const float *name = name##_memory + name##_first
#define USE_MUT_INT(name) __global int *name = name##_memory + name##_first
#define USE_INT(name) __global const int *name = name##_memory + name##_first
