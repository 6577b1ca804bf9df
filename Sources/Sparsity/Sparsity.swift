// Sparsity
