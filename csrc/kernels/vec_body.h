/* Row operations: norm, gate, residual, log-sum-exp. No fused operation, one reduction tree: the
 * same bits on every tier. */

static float QB_NAME(rmsnorm)(float *out, const float *x, const float *weight, size_t n,
                              size_t n_true, float eps)
{
    vf acc = vf_set1(0.0f);
    for (size_t i = 0; i < n; i += 16) {
        vf v = vf_load(x + i);
        acc = vf_add(acc, vf_mul(v, v));
    }
    float sum = vf_sum(acc);
    /* An infinite sum would scale the row to zero, which looks like a good value: NaN does not. */
    float inverse = sum < __builtin_inff() ? 1.0f / __builtin_sqrtf(sum / (float)n_true + eps)
                                           : __builtin_nanf("");
    for (size_t i = 0; i < n; i += 16) {
        vf scaled = vf_mul(vf_load(x + i), vf_set1(inverse));
        vf_store(out + i, vf_mul(vf_load(weight + i), scaled));
    }
    return sum;
}

static float QB_NAME(layernorm)(float *out, const float *x, const float *weight, const float *bias,
                                size_t n, size_t n_true, float eps)
{
    vf all = vf_set1(0.0f), squares = vf_set1(0.0f), spread = vf_set1(0.0f);
    for (size_t i = 0; i < n; i += 16) {
        const vf v = vf_load(x + i);
        all = vf_add(all, v);
        squares = vf_add(squares, vf_mul(v, v));
    }
    const float sum = vf_sum(squares), mean = vf_sum(all) / (float)n_true;
    for (size_t i = 0; i < n; i += 16) {
        float last[16]; /* what pads the row is no deviation */
        vf v = vf_load(x + i);
        if (i + 16 > n_true) {
            vf_store(last, v);
            for (size_t j = n_true - QB_MIN(i, n_true); j < 16; j++)
                last[j] = mean;
            v = vf_load(last);
        }
        const vf off = vf_sub(v, vf_set1(mean));
        spread = vf_add(spread, vf_mul(off, off));
    }
    const float variance = vf_sum(spread) / (float)n_true;
    const float inverse =
        sum < __builtin_inff() ? 1.0f / __builtin_sqrtf(variance + eps) : __builtin_nanf("");
    for (size_t i = 0; i < n; i += 16) {
        const vf scaled = vf_mul(vf_sub(vf_load(x + i), vf_set1(mean)), vf_set1(inverse));
        const vf value = vf_mul(vf_load(weight + i), scaled);
        vf_store(out + i, bias == NULL ? value : vf_add(value, vf_load(bias + i)));
    }
    return sum;
}

QB_INLINE vf silu(vf v)
{
    return vf_div(v, vf_add(vf_set1(1.0f), vf_exp(vf_sub(vf_set1(0.0f), v))));
}

/* v / (1 + exp(-2 u)) with u = sqrt(2 / pi) (v + 0.044715 v^3): half of v (1 + tanh(u)). */
QB_INLINE vf gelu_tanh(vf v)
{
    const vf cube = vf_mul(vf_mul(v, v), v);
    const vf u = vf_mul(vf_set1(-1.5957691216f), vf_add(v, vf_mul(vf_set1(0.044715f), cube)));
    return vf_div(v, vf_add(vf_set1(1.0f), vf_exp(u)));
}

/* By erfc(z) = t P(t) exp(-z^2), t = 1 / (1 + 0.3275911 z), z >= 0 (Abramowitz and Stegun 7.1.26; at most
 * 1.5e-7 off). */
QB_INLINE vf gelu(vf v)
{
    const vf zero = vf_set1(0.0f), one = vf_set1(1.0f), half = vf_mul(v, vf_set1(0.5f));
    const vf z = vf_mul(vf_max(vf_sub(zero, v), v), vf_set1(0.70710678f));
    const vf t = vf_div(one, vf_add(one, vf_mul(vf_set1(0.3275911f), z)));
    vf p = vf_set1(1.061405429f);
    p = vf_add(vf_mul(p, t), vf_set1(-1.453152027f));
    p = vf_add(vf_mul(p, t), vf_set1(1.421413741f));
    p = vf_add(vf_mul(p, t), vf_set1(-0.284496736f));
    p = vf_add(vf_mul(p, t), vf_set1(0.254829592f));
    const vf beyond = vf_mul(vf_mul(p, t), vf_exp(vf_sub(zero, vf_mul(z, z))));
    return vf_mul(half, vf_select_lt(v, zero, beyond, vf_sub(vf_set1(2.0f), beyond)));
}

QB_INLINE vf relu(vf v) { return vf_max(vf_set1(0.0f), v); } /* NaN stays NaN */

#define QB_ACTIVATE(NAME, f)                                                                    \
    static void QB_NAME(activate_##f)(float *out, const float *gate, const float *up, size_t n) \
    {                                                                                           \
        for (size_t i = 0; i < n; i += 16) {                                                    \
            const vf v = f(vf_load(gate + i));                                                  \
            vf_store(out + i, up == NULL ? v : vf_mul(v, vf_load(up + i)));                     \
        }                                                                                       \
    }
QB_ACTIVATIONS(QB_ACTIVATE)

static void QB_NAME(softcap)(float *x, size_t n, float cap)
{
    for (size_t i = 0; i < n; i += 16)
        vf_store(x + i, vf_softcap(vf_load(x + i), cap));
}

static void QB_NAME(add)(float *x, const float *y, size_t n)
{
    for (size_t i = 0; i < n; i += 16)
        vf_store(x + i, vf_add(vf_load(x + i), vf_load(y + i)));
}

static void QB_NAME(logsumexp)(float *max, uint32_t *argmax, float *sum, const float *x,
                               size_t n_true)
{
    const size_t whole = n_true / 16 * 16;
    _Alignas(QB_ALIGN) float tail[16], poison[16];
    for (size_t i = 0; i < 16; i++) {
        tail[i] = whole + i < n_true ? x[whole + i] : -__builtin_inff();
        poison[i] = whole + i < n_true ? x[whole + i] - x[whole + i] : 0.0f;
    }
    vf top = vf_load(tail);
    for (size_t i = 0; i < whole; i += 16)
        top = vf_max(vf_load(x + i), top);
    float best = vf_max_lane(top);
    vf acc = vf_load(poison);
    for (size_t i = 0; i < whole; i += 16) {
        vf v = vf_load(x + i); /* v - v is 0, or NaN where v is not finite */
        acc = vf_add(acc, vf_add(vf_exp(vf_sub(v, vf_set1(best))), vf_sub(v, v)));
    }
    acc = vf_add(acc, vf_exp(vf_sub(vf_load(tail), vf_set1(best))));
    uint32_t index = 0;
    while (index < n_true && x[index] != best)
        index++;
    *max = best;
    *argmax = index < n_true ? index : 0;
    *sum = vf_sum(acc);
}

static void QB_NAME(divergence)(double *cross, double *mass, const float *base, const float *x,
                                size_t n)
{
    double crosses[16] = {0}, masses[16] = {0};
    for (size_t i = 0; i < n; i += 16) {
        float b[16], v[16], p[16];
        const size_t own = QB_MIN(n - i, (size_t)16);
        for (size_t j = 0; j < 16; j++) {
            b[j] = j < own ? base[i + j] : -__builtin_inff();
            v[j] = j < own ? x[i + j] : 0.0f;
        }
        vf_store(p, vf_exp(vf_load(b)));
        for (size_t j = 0; j < own; j++) {
            crosses[j] += (double)p[j] * ((double)b[j] - (double)v[j]);
            masses[j] += (double)p[j];
        }
    }
    *cross = *mass = 0.0;
    for (size_t j = 0; j < 16; j++) {
        *cross += crosses[j];
        *mass += masses[j];
    }
}

void QB_NAME(qb_vec_pick)(qb_vec_kernels *kernels)
{
#define QB_ENTRY(NAME, f) [QB_##NAME] = QB_NAME(activate_##f),
    *kernels = (qb_vec_kernels){.rmsnorm = QB_NAME(rmsnorm),
                                .layernorm = QB_NAME(layernorm),
                                .activate = {QB_ACTIVATIONS(QB_ENTRY)},
                                .softcap = QB_NAME(softcap),
                                .add = QB_NAME(add),
                                .logsumexp = QB_NAME(logsumexp),
                                .divergence = QB_NAME(divergence)};
}
