// exp, log and erf of a float: polynomials in explicit fused operations, without a branch where a
// loop over a row calls them. Also a part of the programs of other devices
// (Sources/CDeviceKernels): nothing is included here, arithmetic.h comes first.
#ifndef CK_FUNCTIONS
#define CK_FUNCTIONS

/// exp(x) within 2 units in the last place; 0 below -87.7, at most exp(88.38); NaN stays NaN.
/// x = n ln 2 + r with |r| <= ln 2 / 2 (Cody & Waite 1980), exp(r) = 1 + r + r^2 q(r) with a
/// minimax polynomial q of degree 4. At -87.7, n is -127 and the power's bits are those of 0: no
/// select.
CK_INLINE float ck_exp(float x) {
  const float magic = 0x1.8p+23f;  // adding it rounds to an integer
  float clamped = x < -0x1.5eccccp+6f ? -0x1.5eccccp+6f : x;
  clamped = clamped > 0x1.618146p+6f ? 0x1.618146p+6f : clamped;
  float shifted = ck_fma(clamped, 0x1.715476p+0f, magic);
  float n = shifted - magic;
  float r = ck_fma(n, -0x1.63p-1f, clamped);
  r = ck_fma(n, 0x1.bd0106p-13f, r);
  float q = 0x1.6a23cep-10f;
  q = ck_fma(q, r, 0x1.123a2p-7f);
  q = ck_fma(q, r, 0x1.5558f2p-5f);
  q = ck_fma(q, r, 0x1.555492p-3f);
  q = ck_fma(q, r, 0x1.fffffcp-2f);
  float p = ck_fma(q, r * r, r) + 1.0f;
  return p * ck_from_bits((ck_to_bits(shifted) - ck_to_bits(magic) + 127u) << 23);
}

/// log(x) within 1 unit in the last place for x >= 2^-126; infinity and NaN stay what they are.
/// x = 2^k m with m from sqrt(1/2) to sqrt 2, and log m = 2 artanh s with s = (m - 1) / (m + 1) by
/// Taylor's series. The kernels take logarithms of sums of which one term is 1.
CK_INLINE float ck_log(float x) {
  uint32_t bits = ck_to_bits(x) - 0x3f3504f3u;  // sqrt(1/2)
  float k = (float)((int32_t)bits >> 23);
  float f = ck_from_bits((bits & 0x007fffffu) + 0x3f3504f3u) - 1.0f;
  float s = f / (2.0f + f);
  float z = s * s;
  float t = 0x1.c71c72p-3f;
  t = ck_fma(t, z, 0x1.24924ap-2f);
  t = ck_fma(t, z, 0x1.99999ap-2f);
  t = ck_fma(t, z, 0x1.555556p-1f);
  // log m = f - h + s (h + z t) with h = f^2 / 2.
  float h = 0.5f * f * f;
  float rest = ck_fma(s, ck_fma(z, t, h), k * 0x1.0bfbe8p-15f);
  float result = ck_fma(k, 0x1.62ep-1f, f - (h - rest));
  return x < INFINITY ? result : x;
}

/// erf(x) within one unit in the last place (minimax polynomials after N. Juffa).
CK_INLINE float ck_erf(float a) {
  float t = fabsf(a);
  float s = a * a;
  float big = ck_fma(-0x1.22p-16f, t, 0x1.91cfb2p-12f);
  float u = ck_fma(-0x1.fd1438p-9f, t, 0x1.8d6342p-6f);
  big = ck_fma(big, s, u);
  big = ck_fma(big, t, -0x1.b55cb8p-4f);
  big = ck_fma(big, t, -0x1.450aap-1f);
  big = ck_fma(big, t, -0x1.079d0cp-3f);
  big = ck_fma(big, t, -t);
  big = copysignf(1.0f - ck_exp(big), a);
  float small = -0x1.38ep-11f;
  small = ck_fma(small, s, 0x1.471a58p-8f);
  small = ck_fma(small, s, -0x1.b691b2p-6f);
  small = ck_fma(small, s, 0x1.ce1c44p-4f);
  small = ck_fma(small, s, -0x1.8127p-2f);
  small = ck_fma(small, s, 0x1.06eba8p-3f);
  small = ck_fma(small, a, a);
  return t > 0x1.dbp-1f ? big : small;
}

#endif
