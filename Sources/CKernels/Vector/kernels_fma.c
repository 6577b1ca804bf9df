// The vector kernels with fused multiply-adds of the C library, for any CPU. Compilers turn them into vector
// instructions where the CPU that they compile for has fused ones (NEON).
#pragma STDC FP_CONTRACT OFF
#define CK(name) name##_fma
#define CK_TABLE ck_kernels_fma
#include "kernels.h"
