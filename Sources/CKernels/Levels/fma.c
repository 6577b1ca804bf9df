// All kernels in plain C.
#include "contraction.h"

#define CK(name) name##_fma
#define CK_TABLE ck_kernels_fma
#include "../Products/tiles_fma.h"
#include "kernels.h"
