#include <cblas.h>

// LAPACK's singular value decomposition, the reference in tests: OpenBLAS contains it, and Debian's
// package has no header for it. Column-major; all arguments by reference; the lengths of character
// arguments, which Fortran passes by value at the end, are not read for one character.
void dgesdd_(char *jobz, int *m, int *n, double *a, int *lda, double *s, double *u, int *ldu,
             double *vt, int *ldvt, double *work, int *lwork, int *iwork, int *info);
