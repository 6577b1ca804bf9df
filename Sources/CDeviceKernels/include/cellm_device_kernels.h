// The kernels of devices beside the CPU, as the text of one OpenCL program. They have the names,
// the operations and the order of sums of CKernels (docs/arithmetic.md), and its polynomials:
// functions.h and activation_functions.h are parts of the text.
#pragma once

/// The program, ending in a zero.
const char *cellm_device_program(void);
