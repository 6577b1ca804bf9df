// The instruction sets that kernels are compiled for, and the one that this process uses.
#include "../include/cellm_kernels.h"

static int ck_chosen = -1;

int ck_level_supported(int level) {
  switch (level) {
  case CK_LEVEL_FMA: return 1;
#if defined(__x86_64__)
  case CK_LEVEL_AVX2:
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  case CK_LEVEL_AVX512:
    return ck_level_supported(CK_LEVEL_AVX2) && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#endif
  default: return 0;
  }
}

int ck_level(void) {
  if (ck_chosen < 0) {
    int level = CK_LEVEL_AVX512;
    while (!ck_level_supported(level)) level--;
    ck_chosen = level;
  }
  return ck_chosen;
}

void ck_set_level(int level) { ck_chosen = level; }
