// Loops and products of the training step, in C because Swift does not turn float sums into
// vectors. Each is compiled for several instruction sets, with the same bits: fused operations are
// explicit, and every sum has one order (docs/arithmetic.md). Buffers never overlap unless a
// comment says so. T tokens (rows), C channels, n elements. Matrices are row-major and dense unless
// a stride is given.
#pragma once

#include <stdint.h>

// --- Instruction sets (Levels/levels.c) ---

/// The instruction sets that kernels are compiled for. The results of all of them have the same
/// bits.
enum { CK_LEVEL_FMA = 0, CK_LEVEL_AVX2 = 1, CK_LEVEL_AVX512 = 2 };

/// 1 if this CPU has it, else 0.
int ck_level_supported(int level);
/// The one in use: the widest that this CPU has, or what ck_set_level said.
int ck_level(void);
/// Uses a supported one from now on; call it before other threads compute.
void ck_set_level(int level);

// --- Normalization (Vector/normalization.h) ---

/// RMSNorm (Zhang & Sennrich 2019): out = in * rstd * weight, rstd = 1 / sqrt(mean(in^2) +
/// epsilon).
void ck_rms_norm_forward(float *out, float *rstd, const float *in, const float *weight, int64_t T,
                         int64_t C, float epsilon);
/// Writes the gradient of the input to dInput (which may be dOut), or adds it where `add` is set.
void ck_rms_norm_backward(float *dInput, const float *dOut, const float *in, const float *weight,
                          const float *rstd, int64_t T, int64_t C, int add);
/// LayerNorm (Ba et al. 2016): out = (in - mean) * rstd * weight + bias.
void ck_layer_norm_forward(float *out, float *mean, float *rstd, const float *in,
                           const float *weight, const float *bias, int64_t T, int64_t C,
                           float epsilon);
/// As ck_rms_norm_backward.
void ck_layer_norm_backward(float *dInput, const float *dOut, const float *in, const float *weight,
                            const float *mean, const float *rstd, int64_t T, int64_t C, int add);
/// dWeight(C) += sum over rows of dOut * in * rstd.
void ck_rms_norm_weight_gradient(float *dWeight, const float *dOut, const float *in,
                                 const float *rstd, int64_t T, int64_t C);
/// dWeight(C) += sum over rows of dOut * (in - mean) * rstd, dBias(C) += that of dOut.
void ck_layer_norm_weight_gradient(float *dWeight, float *dBias, const float *dOut, const float *in,
                                   const float *mean, const float *rstd, int64_t T, int64_t C);

// --- Activations (Vector/activations.h) ---

enum { CK_GELU = 0, CK_GELU_TANH = 1, CK_RELU = 2, CK_SILU = 3, CK_TANH = 4 };

void ck_activation_forward(float *out, const float *in, int64_t n, int kind);
/// dInput = dOut * f'(in); dInput may be dOut.
void ck_activation_backward(float *dInput, const float *dOut, const float *in, int64_t n, int kind);
/// out = f(gate) * up.
void ck_gated_forward(float *out, const float *gate, const float *up, int64_t n, int kind);
/// Writes dGate and dUp; either may be dOut.
void ck_gated_backward(float *dGate, float *dUp, const float *dOut, const float *gate,
                       const float *up, int64_t n, int kind);

// --- Attention (Vector/attention.h) ---

/// Turns a tile of scores into probabilities in place: row r becomes softmax(scale * s) over its
/// columns from hidden + r to min(columns, visible + r) and zero outside; hidden + r may be below 0.
/// logSumExp[r] is kept for ck_attention_probabilities.
void ck_attention_softmax(float *scores, int64_t stride, float *logSumExp, int64_t rows,
                          int64_t columns, int64_t visible, int64_t hidden, float scale);
/// The same probabilities from scores and the kept logSumExp, for the backward pass.
void ck_attention_probabilities(float *scores, int64_t stride, const float *logSumExp, int64_t rows,
                                int64_t columns, int64_t visible, int64_t hidden, float scale);
/// dScores = p * (dP - delta[row]) * scale, written over dP.
void ck_attention_score_gradient(float *dP, const float *p, int64_t stride, const float *delta,
                                 int64_t rows, int64_t columns, float scale);
/// delta[row] = sum over columns of a * b.
void ck_row_dots(float *delta, const float *a, const float *b, int64_t stride, int64_t rows,
                 int64_t columns);
/// Rotary position embedding (Su et al. 2021), rotate-half form, in place, of the first `rotated`
/// channels of each head. x is (T, heads * D); cosines and sines are (positions, rotated / 2);
/// direction is +1 (forward) or -1 (backward: the transposed rotation).
void ck_rotary(float *x, const float *cosines, const float *sines, const int32_t *positions,
               int64_t T, int64_t heads, int64_t D, int64_t rotated, float direction);

// --- Products (Products/products.c) ---

/// out (rows, columns) = a b, or added to what it holds: a's element (r, k) is at
/// r * aRow + k * aInner, one of which is 1; b is (inner, columns), or (columns, inner) where
/// transposeB is set. Each 576 steps of k are one chain of fused multiply-adds from 0; the chains
/// are added to each other, and to what out holds, in ascending k.
void ck_product(float *out, int64_t stride, int64_t rows, int64_t columns, int64_t inner,
                const float *a, int64_t aRow, int64_t aInner, const float *b, int64_t bStride,
                int transposeB, int add);

// --- Matrices in blocks of 32 weights (Products/blocks.c, Vector/widening.h) ---

/// GGUF's formats: a scale in fp16 with 32 codes of 8 or 4 bits; Q4_1 also has a smallest value.
enum { CK_Q8_0 = 0, CK_Q4_0 = 1, CK_Q4_1 = 2, CK_BLOCK_WEIGHTS = 32 };

/// Bytes of a block.
int64_t ck_block_bytes(int format);
/// Rounds count weights, a multiple of 32, as ggml's reference does.
void ck_round_to_blocks(void *blocks, const float *in, int64_t count, int format);
/// out = the blocks' weights in fp32: scale * code, and + smallest value in a second rounding.
void ck_widen_blocks(float *out, const void *blocks, int64_t count, int format);
/// The product with a matrix (outputs, inputs) in blocks along inputs, a multiple of 32, as
/// ck_product with the widened matrix: out (rows, outputs) = a (rows, inputs) matrix^T, or,
/// backward, out (rows, inputs) = a (rows, outputs) matrix; or added.
void ck_block_product(float *out, const float *a, const void *blocks, int64_t rows, int64_t outputs,
                      int64_t inputs, int format, int backward, int add);

// --- Losses (Vector/losses.h) ---

/// Softmax cross-entropy of each row of logits (rows, columns); targets outside 0..<columns are not
/// counted. losses[r] = -log p(target), or 0. predictions[r] = the first largest logit's column.
/// logits becomes (p - onehot) * scale where `gradient` is set (zero in rows that do not count).
void ck_cross_entropy(float *logits, const int32_t *targets, float *losses, int32_t *predictions,
                      int64_t rows, int64_t columns, float scale, int gradient);
/// The sum over a row of log(1 + exp(x)) - x t for each logit x and its target t, 0 or 1; with
/// `gradient`, logits become (sigmoid(x) - t) * scale.
void ck_binary_cross_entropy(float *logits, const float *targets, float *losses, int64_t rows,
                             int64_t columns, float scale, int gradient);

// --- Elementwise (Vector/elementwise.h) ---

/// x(T, C) += bias(C).
void ck_add_bias(float *x, const float *bias, int64_t T, int64_t C);
/// dBias(C) += sum over rows of dOut(T, C).
void ck_bias_gradient(float *dBias, const float *dOut, int64_t T, int64_t C);
/// x += y.
void ck_add(float *x, const float *y, int64_t n);
/// 1 if every element is finite, 0 otherwise.
int ck_all_finite(const float *x, int64_t n);
/// a = b + c / 2 (McCalpin 1995, STREAM): what memory bandwidth is measured with.
void ck_triad(float *a, const float *b, const float *c, int64_t n);
/// out = in as bf16, rounded to the nearest, ties to even; NaNs stay NaNs.
void ck_round_to_bf16(uint16_t *out, const float *in, int64_t n);
