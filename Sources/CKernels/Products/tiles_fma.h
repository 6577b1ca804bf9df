// Tiles of 4 x 8 outputs, with fused multiply-adds of the C library, for any CPU. Compilers turn
// them into vector instructions where the CPU that they compile for has fused ones (NEON).
#include <math.h>

typedef struct {
  float lanes[4];
} CKQuad;

static inline __attribute__((always_inline)) CKQuad ck_load_4(const float *p) {
  return (CKQuad){{p[0], p[1], p[2], p[3]}};
}
static inline __attribute__((always_inline)) void ck_store_4(float *p, CKQuad v) {
  for (int i = 0; i < 4; i++) p[i] = v.lanes[i];
}
static inline __attribute__((always_inline)) CKQuad ck_spread_4(float x) {
  return (CKQuad){{x, x, x, x}};
}
static inline __attribute__((always_inline)) CKQuad ck_add_4(CKQuad a, CKQuad b) {
  for (int i = 0; i < 4; i++) a.lanes[i] += b.lanes[i];
  return a;
}
static inline __attribute__((always_inline)) CKQuad ck_fused_4(CKQuad a, CKQuad b, CKQuad c) {
  for (int i = 0; i < 4; i++) c.lanes[i] = fmaf(a.lanes[i], b.lanes[i], c.lanes[i]);
  return c;
}

#define CK_VECTOR CKQuad
#define CK_WIDTH 4
#define CK_ROWS 4
#define CK_LOAD(p) ck_load_4(p)
#define CK_STORE(p, v) ck_store_4(p, v)
#define CK_SPREAD(x) ck_spread_4(x)
#define CK_ADD(a, b) ck_add_4(a, b)
#define CK_FUSED(a, b, c) ck_fused_4(a, b, c)
#define CK_TURN ck_turn_4

static inline void ck_turn_4(float *to, const float *from, long stride) {
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 4; j++) to[i * 8 + j] = from[j * stride + i];
}
