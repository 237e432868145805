/* What is built from the tier's operations. Included at the end of each simd_<tier>.h. */

QB_INLINE int32_t vi_sum(vi a)
{
    int32_t t[16], sum = 0;
    vi_store(t, a);
    for (int i = 0; i < 16; i++)
        sum += t[i];
    return sum;
}

/* The two bf16 of each lane. */
QB_INLINE vf low_bf16(vi pair) { return vf_bits(vi_shl(pair, 16)); }
QB_INLINE vf high_bf16(vi pair) { return vf_bits(vi_and(pair, vi_set1((int32_t)0xffff0000))); }

/* exp(x): 0 below -87, infinity from 88.4 on; NaN stays NaN. x = n ln2 + r with |r| <= ln2 / 2; ln2 is
 * split so that n * hi is exact; polynomial of degree 6 (minimax on that interval, Cephes expf). At
 * most 2 ulp against float64; no fused operation, so the same bits everywhere. */
QB_INLINE vf vf_exp(vf x)
{
    const vf log2e = vf_set1(0x1.715476p+0f), ln2_hi = vf_set1(0x1.63p-1f),
             ln2_lo = vf_set1(-2.12194440e-4f);
    vf n = vf_round(vf_mul(x, log2e));
    vf r = vf_sub(vf_sub(x, vf_mul(n, ln2_hi)), vf_mul(n, ln2_lo));
    vf p = vf_set1(1.9875691500e-4f);
    p = vf_add(vf_mul(p, r), vf_set1(1.3981999507e-3f));
    p = vf_add(vf_mul(p, r), vf_set1(8.3334519073e-3f));
    p = vf_add(vf_mul(p, r), vf_set1(4.1665795894e-2f));
    p = vf_add(vf_mul(p, r), vf_set1(1.6666665459e-1f));
    p = vf_add(vf_mul(p, r), vf_set1(5.0000001201e-1f));
    p = vf_add(vf_add(vf_mul(vf_mul(p, r), r), r), vf_set1(1.0f));
    /* A NaN in n takes the bound, so that the conversion is defined; p is NaN then. */
    vf bounded = vf_max(vf_select_lt(n, vf_set1(128.0f), n, vf_set1(128.0f)), vf_set1(-126.0f));
    vi power = vi_shl(vi_add(vf_to_i32(bounded), vi_set1(127)), 23);
    return vf_select_lt(x, vf_set1(-87.0f), vf_set1(0.0f), vf_mul(p, vf_bits(power)));
}

/* cap * tanh(x / cap), tanh(z) = 1 - 2 / (exp(2 z) + 1): at most 1.2e-7 * cap off. */
QB_INLINE vf vf_softcap(vf x, float cap)
{
    const vf e = vf_exp(vf_mul(x, vf_set1(2.0f / cap)));
    const vf tanh = vf_sub(vf_set1(1.0f), vf_div(vf_set1(2.0f), vf_add(e, vf_set1(1.0f))));
    return vf_mul(tanh, vf_set1(cap));
}

/* 2^x for x <= 0; what is not a normal number may be 0. NaN stays NaN. x = n + f with |f| <= 1/2;
 * polynomial that is minimax for the relative error on that interval: of degree 6 at most 8e-8, or of
 * degree 3 at most 1.1e-4, for what is rounded to bf16 (2e-3) next. 2^0 is 1. Fused where the tier
 * has that. */
QB_INLINE vf exp2_polynomial(const int degree, vf x)
{
    const vf bounded = vf_max(vf_set1(-200.0f), x); /* the second where it is NaN */
    const vf n = vf_round(bounded), f = vf_sub(bounded, n);
    vf p;
    if (degree == 6) {
        p = vf_mla(vf_set1(0x1.41d32ep-13f), f, vf_set1(0x1.5f456ap-10f));
        p = vf_mla(p, f, vf_set1(0x1.3b2dbcp-7f));
        p = vf_mla(p, f, vf_set1(0x1.c6aed4p-5f));
        p = vf_mla(p, f, vf_set1(0x1.ebfbdap-3f));
        p = vf_mla(p, f, vf_set1(0x1.62e430p-1f));
    } else {
        p = vf_mla(vf_set1(0x1.c2a218p-5f), f, vf_set1(0x1.f00c4ep-3f));
        p = vf_mla(p, f, vf_set1(0x1.62f5fap-1f));
    }
    return vf_scale2(vf_mla(p, f, vf_set1(1.0f)), n);
}

QB_INLINE vf vf_exp2(vf x) { return exp2_polynomial(6, x); }
QB_INLINE vf vf_exp2_bf16(vf x) { return exp2_polynomial(3, x); }
