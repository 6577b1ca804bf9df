#include <cblas.h>

// LAPACK, which OpenBLAS contains and for which Debian's package has no header. Column-major; all
// arguments by reference; the lengths of character arguments, which Fortran passes by value at the
// end, are not read for one character.
void dgeqrf_(int *m, int *n, double *a, int *lda, double *tau, double *work, int *lwork, int *info);
void dorgqr_(int *m, int *n, int *k, double *a, int *lda, double *tau, double *work, int *lwork,
             int *info);
void dgesdd_(char *jobz, int *m, int *n, double *a, int *lda, double *s, double *u, int *ldu,
             double *vt, int *ldvt, double *work, int *lwork, int *iwork, int *info);
