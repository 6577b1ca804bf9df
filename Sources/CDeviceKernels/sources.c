// The files of the program, in the order in which they use each other.
#include "cellm_device_kernels.h"

#pragma clang diagnostic ignored "-Wc23-extensions"

static const char program[] = {
#embed "OpenCL/arithmetic.cl"
    ,
#embed "../CKernels/Vector/functions.h"
    ,
#embed "../CKernels/Vector/activation_functions.h"
    ,
#embed "OpenCL/reductions.cl"
    ,
#embed "OpenCL/products.cl"
    ,
#embed "OpenCL/widening.cl"
    ,
#embed "OpenCL/normalization.cl"
    ,
#embed "OpenCL/activations.cl"
    ,
#embed "OpenCL/attention.cl"
    ,
#embed "OpenCL/losses.cl"
    ,
#embed "OpenCL/elementwise.cl"
    , 0};

const char *cellm_device_program(void) { return program; }
