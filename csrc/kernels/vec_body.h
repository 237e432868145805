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

static void QB_NAME(silu_mul)(float *out, const float *gate, const float *up, size_t n)
{
    const vf one = vf_set1(1.0f), zero = vf_set1(0.0f);
    for (size_t i = 0; i < n; i += 16) {
        vf v = vf_load(gate + i);
        vf silu = vf_div(v, vf_add(one, vf_exp(vf_sub(zero, v))));
        vf_store(out + i, vf_mul(silu, vf_load(up + i)));
    }
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
    *kernels = (qb_vec_kernels){QB_NAME(rmsnorm), QB_NAME(silu_mul), QB_NAME(add),
                                QB_NAME(logsumexp), QB_NAME(divergence)};
}
