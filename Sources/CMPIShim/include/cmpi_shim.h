/* MPI as plain C functions that Swift can import.
 *
 * <mpi.h> names its communicators, datatypes and operations by macros over structures, which Swift cannot
 * import. So each function here is one MPI call with the datatype and operation fixed; it returns MPI's
 * code (0 is MPI_SUCCESS), prints nothing and loops over nothing. Communicators travel as the integer
 * handles of MPI's Fortran binding (MPI 3.1, section 17.2.4), the one form that every MPI library shares.
 * Byte counts are `int`, as MPI 3.1 has them: the caller cuts larger transfers (MPICommunicator.swift). */
#ifndef CMPI_SHIM_H
#define CMPI_SHIM_H

#include <stdint.h>

/* What `cmpi_all_reduce_int64` computes. */
enum { CMPI_SUM = 0, CMPI_MAXIMUM = 1, CMPI_MINIMUM = 2 };

/* Bytes that a text buffer must have for `cmpi_error_text`, `cmpi_library_version`, `cmpi_processor_name`. */
int cmpi_text_capacity(void);

/* Environment */
int cmpi_initialize(int *is_funneled);
int cmpi_is_initialized(int *flag);
int cmpi_is_finalized(int *flag);
int cmpi_finalize(void);
int cmpi_abort(int exit_code);
int cmpi_error_text(int code, char *text, int *length);
int cmpi_standard_version(int *major, int *minor);
int cmpi_library_version(char *text, int *length);
int cmpi_processor_name(char *text, int *length);

/* Communicators */
int cmpi_world(void);
int cmpi_return_errors(int comm);
int cmpi_rank(int comm, int *rank);
int cmpi_size(int comm, int *size);
int cmpi_split(int comm, int color, int key, int *part);
int cmpi_split_by_node(int comm, int *node_comm);
int cmpi_free(int *comm);

/* Collectives over bytes */
int cmpi_barrier(int comm);
int cmpi_broadcast(int comm, void *bytes, int count, int root);
int cmpi_all_gather(int comm, const void *send, int count, void *receive);
int cmpi_all_gather_variable(int comm, const void *send, int count, void *receive,
                             const int *counts, const int *displacements);
int cmpi_gather_variable(int comm, const void *send, int count, void *receive, const int *counts,
                         const int *displacements, int root);

/* Reductions over 64-bit integers, in place */
int cmpi_all_reduce_int64(int comm, int64_t *values, int count, int operation);

/* Sums of floats, in an order that MPI chooses: what exact sums are measured against */
int cmpi_reduce_float(int comm, const float *values, float *sum, int count, int root);
int cmpi_all_reduce_float(int comm, float *values, int count);

/* Messages between two ranks. A started one is a handle that `cmpi_wait`, or a `cmpi_test` that finds it
 * finished, gives up; both then say how many bytes were received. */
int cmpi_start_send(int comm, const void *bytes, int count, int to, int tag, int *request);
int cmpi_start_receive(int comm, void *bytes, int capacity, int from, int tag, int *request);
int cmpi_wait(int *request, int *count);
int cmpi_test(int *request, int *is_finished, int *count);

#endif
