#include "cellm_kernels.h"
