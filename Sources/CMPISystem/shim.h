/* The MPI headers and libraries, found by pkg-config; only CMPIShim includes <mpi.h>. */
