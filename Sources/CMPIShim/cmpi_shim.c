/* The only file that includes <mpi.h>. Above each function: the MPI call's C prototype and its section in
 * the MPI 3.1 standard. See cmpi_shim.h for the rules. */
#include "cmpi_shim.h"

#include <mpi.h>
#include <stddef.h>

/* The three texts have three capacities; the largest serves all. */
#define LARGER(a, b) ((a) > (b) ? (a) : (b))
int cmpi_text_capacity(void) {
  return LARGER(MPI_MAX_ERROR_STRING,
                LARGER(MPI_MAX_LIBRARY_VERSION_STRING, MPI_MAX_PROCESSOR_NAME));
}

/* int MPI_Init_thread(int *argc, char ***argv, int required, int *provided)   12.4.3
 * FUNNELED: other threads may exist, but only the one that called this may call MPI. */
int cmpi_initialize(int *is_funneled) {
  int provided = MPI_THREAD_SINGLE;
  const int code = MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided);
  *is_funneled = provided >= MPI_THREAD_FUNNELED;
  return code;
}

/* int MPI_Initialized(int *flag)   8.7 */
int cmpi_is_initialized(int *flag) { return MPI_Initialized(flag); }

/* int MPI_Finalized(int *flag)   8.7.1 */
int cmpi_is_finalized(int *flag) { return MPI_Finalized(flag); }

/* int MPI_Finalize(void)   8.7 */
int cmpi_finalize(void) { return MPI_Finalize(); }

/* int MPI_Abort(MPI_Comm comm, int errorcode)   8.7 */
int cmpi_abort(int exit_code) { return MPI_Abort(MPI_COMM_WORLD, exit_code); }

/* int MPI_Error_string(int errorcode, char *string, int *resultlen)   8.3.4 */
int cmpi_error_text(int code, char *text, int *length) {
  return MPI_Error_string(code, text, length);
}

/* int MPI_Get_version(int *version, int *subversion)   8.1.1 */
int cmpi_standard_version(int *major, int *minor) { return MPI_Get_version(major, minor); }

/* int MPI_Get_library_version(char *version, int *resultlen)   8.1.1 */
int cmpi_library_version(char *text, int *length) { return MPI_Get_library_version(text, length); }

/* int MPI_Get_processor_name(char *name, int *resultlen)   8.1.2 */
int cmpi_processor_name(char *text, int *length) { return MPI_Get_processor_name(text, length); }

/* MPI_Fint MPI_Comm_c2f(MPI_Comm comm)   17.2.4 */
int cmpi_world(void) { return MPI_Comm_c2f(MPI_COMM_WORLD); }

/* int MPI_Comm_set_errhandler(MPI_Comm comm, MPI_Errhandler errhandler)   8.3.1
 * Without it every error ends the process inside MPI, before anybody can say what was being done.
 * Communicators split off later inherit it. */
int cmpi_return_errors(int comm) {
  return MPI_Comm_set_errhandler(MPI_Comm_f2c(comm), MPI_ERRORS_RETURN);
}

/* int MPI_Comm_rank(MPI_Comm comm, int *rank)   6.4.1 */
int cmpi_rank(int comm, int *rank) { return MPI_Comm_rank(MPI_Comm_f2c(comm), rank); }

/* int MPI_Comm_size(MPI_Comm comm, int *size)   6.4.1 */
int cmpi_size(int comm, int *size) { return MPI_Comm_size(MPI_Comm_f2c(comm), size); }

/* int MPI_Comm_split(MPI_Comm comm, int color, int key, MPI_Comm *newcomm)   6.4.2 */
int cmpi_split(int comm, int color, int key, int *part) {
  MPI_Comm group = MPI_COMM_NULL;
  const int code = MPI_Comm_split(MPI_Comm_f2c(comm), color, key, &group);
  *part = MPI_Comm_c2f(group);
  return code;
}

/* int MPI_Comm_split_type(MPI_Comm comm, int split_type, int key, MPI_Info info, MPI_Comm *newcomm)   6.4.2
 * The ranks that can share memory, in the order of their ranks in `comm`. */
int cmpi_split_by_node(int comm, int *node_comm) {
  MPI_Comm node = MPI_COMM_NULL;
  const int code =
      MPI_Comm_split_type(MPI_Comm_f2c(comm), MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
  *node_comm = MPI_Comm_c2f(node);
  return code;
}

/* int MPI_Comm_free(MPI_Comm *comm)   6.4.3 */
int cmpi_free(int *comm) {
  MPI_Comm handle = MPI_Comm_f2c(*comm);
  const int code = MPI_Comm_free(&handle);
  *comm = MPI_Comm_c2f(handle);
  return code;
}

/* int MPI_Barrier(MPI_Comm comm)   5.3 */
int cmpi_barrier(int comm) { return MPI_Barrier(MPI_Comm_f2c(comm)); }

/* int MPI_Bcast(void *buffer, int count, MPI_Datatype datatype, int root, MPI_Comm comm)   5.4 */
int cmpi_broadcast(int comm, void *bytes, int count, int root) {
  return MPI_Bcast(bytes, count, MPI_BYTE, root, MPI_Comm_f2c(comm));
}

/* int MPI_Allgather(const void *sendbuf, int sendcount, MPI_Datatype sendtype, void *recvbuf, int recvcount,
 *                   MPI_Datatype recvtype, MPI_Comm comm)   5.7 */
int cmpi_all_gather(int comm, const void *send, int count, void *receive) {
  return MPI_Allgather(send, count, MPI_BYTE, receive, count, MPI_BYTE, MPI_Comm_f2c(comm));
}

/* int MPI_Allgatherv(const void *sendbuf, int sendcount, MPI_Datatype sendtype, void *recvbuf,
 *                    const int recvcounts[], const int displs[], MPI_Datatype recvtype, MPI_Comm comm)   5.7 */
int cmpi_all_gather_variable(int comm, const void *send, int count, void *receive,
                             const int *counts, const int *displacements) {
  return MPI_Allgatherv(send, count, MPI_BYTE, receive, counts, displacements, MPI_BYTE,
                        MPI_Comm_f2c(comm));
}

/* int MPI_Gatherv(const void *sendbuf, int sendcount, MPI_Datatype sendtype, void *recvbuf,
 *                 const int recvcounts[], const int displs[], MPI_Datatype recvtype, int root, MPI_Comm comm)   5.5 */
int cmpi_gather_variable(int comm, const void *send, int count, void *receive, const int *counts,
                         const int *displacements, int root) {
  return MPI_Gatherv(send, count, MPI_BYTE, receive, counts, displacements, MPI_BYTE, root,
                     MPI_Comm_f2c(comm));
}

/* int MPI_Allreduce(const void *sendbuf, void *recvbuf, int count, MPI_Datatype datatype, MPI_Op op,
 *                   MPI_Comm comm)   5.9.6 */
int cmpi_all_reduce_int64(int comm, int64_t *values, int count, int operation) {
  const MPI_Op op = operation == CMPI_SUM       ? MPI_SUM
                    : operation == CMPI_MAXIMUM ? MPI_MAX
                    : operation == CMPI_MINIMUM ? MPI_MIN
                                                : MPI_OP_NULL;
  return MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_INT64_T, op, MPI_Comm_f2c(comm));
}

/* int MPI_Reduce(const void *sendbuf, void *recvbuf, int count, MPI_Datatype datatype, MPI_Op op, int root,
 *                MPI_Comm comm)   5.9.1 */
int cmpi_reduce_float(int comm, const float *values, float *sum, int count, int root) {
  return MPI_Reduce(values, sum, count, MPI_FLOAT, MPI_SUM, root, MPI_Comm_f2c(comm));
}

/* int MPI_Allreduce(const void *sendbuf, void *recvbuf, int count, MPI_Datatype datatype, MPI_Op op,
 *                   MPI_Comm comm)   5.9.6 */
int cmpi_all_reduce_float(int comm, float *values, int count) {
  return MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_FLOAT, MPI_SUM, MPI_Comm_f2c(comm));
}

/* int MPI_Isend(const void *buf, int count, MPI_Datatype datatype, int dest, int tag, MPI_Comm comm,
 *               MPI_Request *request)   3.7.2
 * Requests travel as Fortran handles, like communicators. */
int cmpi_start_send(int comm, const void *bytes, int count, int to, int tag, int *request) {
  MPI_Request handle = MPI_REQUEST_NULL;
  const int code = MPI_Isend(bytes, count, MPI_BYTE, to, tag, MPI_Comm_f2c(comm), &handle);
  *request = MPI_Request_c2f(handle);
  return code;
}

/* int MPI_Irecv(void *buf, int count, MPI_Datatype datatype, int source, int tag, MPI_Comm comm,
 *               MPI_Request *request)   3.7.2 */
int cmpi_start_receive(int comm, void *bytes, int capacity, int from, int tag, int *request) {
  MPI_Request handle = MPI_REQUEST_NULL;
  const int code = MPI_Irecv(bytes, capacity, MPI_BYTE, from, tag, MPI_Comm_f2c(comm), &handle);
  *request = MPI_Request_c2f(handle);
  return code;
}

/* int MPI_Get_count(const MPI_Status *status, MPI_Datatype datatype, int *count)   3.2.5 */
static int received(int code, const MPI_Status *status, int *count) {
  return code == MPI_SUCCESS ? MPI_Get_count(status, MPI_BYTE, count) : code;
}

/* int MPI_Wait(MPI_Request *request, MPI_Status *status)   3.7.3 */
int cmpi_wait(int *request, int *count) {
  MPI_Request handle = MPI_Request_f2c(*request);
  MPI_Status status;
  const int code = MPI_Wait(&handle, &status);
  *request = MPI_Request_c2f(handle);
  return received(code, &status, count);
}

/* int MPI_Test(MPI_Request *request, int *flag, MPI_Status *status)   3.7.3 */
int cmpi_test(int *request, int *is_finished, int *count) {
  MPI_Request handle = MPI_Request_f2c(*request);
  MPI_Status status;
  const int code = MPI_Test(&handle, is_finished, &status);
  *request = MPI_Request_c2f(handle);
  return code == MPI_SUCCESS && !*is_finished ? code : received(code, &status, count);
}
