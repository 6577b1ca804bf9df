// No compiler fuses an operation that is not written as a fused one (docs/arithmetic.md).
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif
