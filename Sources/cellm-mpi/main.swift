print("cellm-mpi")
