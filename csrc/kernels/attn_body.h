/* Softmax attention of query rows against one chunk of up to 256 keys.
 *
 * For one query, keys are taken in blocks of 32 from the start of the chunk, ascending; each block
 * updates a running maximum m, sum l and weighted values a (online softmax: when m grows, l and a
 * shrink by exp(m_old - m_new)). The chunk's (m, l, a) is then merged into the state of the earlier
 * chunks. Chunks start at multiples of 256 positions, so the value depends on the keys alone: it is
 * the same in prefill and decode, and a suffix continues where its prefix ended. */

enum { QB_NAME(max_dim) = 512 };

/* s (32,) = scores of the block's keys; those from n_keys on are -infinity. */
QB_INLINE void block_scores(const bool bf16, float *s, const float *q, const void *keys, size_t dim,
                            uint32_t n_keys)
{
    vf low = vf_set1(0.0f), high = vf_set1(0.0f);
    for (size_t d = 0; d < dim; d++) {
        vf value = vf_set1(q[d]);
        vf k0, k1;
        if (bf16) {
            const uint16_t *k = (const uint16_t *)keys + d * QB_KEY_BLOCK;
            k0 = vf_load_bf16(k), k1 = vf_load_bf16(k + 16);
        } else {
            const float *k = (const float *)keys + d * QB_KEY_BLOCK;
            k0 = vf_load(k), k1 = vf_load(k + 16);
        }
        low = vf_mla(k0, value, low);
        high = vf_mla(k1, value, high);
    }
    vf_store(s, low);
    vf_store(s + 16, high);
    for (uint32_t j = n_keys; j < QB_KEY_BLOCK; j++)
        s[j] = -__builtin_inff();
}

QB_INLINE float exp_one(float x)
{
    float t[16];
    vf_store(t, vf_exp(vf_set1(x)));
    return t[0];
}

QB_INLINE void attend(const bool bf16, float *max, float *sum, float *acc, const float *q,
                      uint32_t n_keys, const void *const *k_blocks, const void *const *v_blocks,
                      size_t dim)
{
    const size_t width = qb_round_up(dim, 16);
    _Alignas(QB_ALIGN) float p[QB_KEY_BLOCK], a[QB_NAME(max_dim)];
    memset(a, 0, width * sizeof(float));
    float m = -__builtin_inff(), l = 0.0f;
    for (uint32_t first = 0, b = 0; first < n_keys; first += QB_KEY_BLOCK, b++) {
        const uint32_t n = QB_MIN((uint32_t)QB_KEY_BLOCK, n_keys - first);
        block_scores(bf16, p, q, k_blocks[b], dim, n);
        vf s0 = vf_load(p), s1 = vf_load(p + 16);
        float top = vf_max_lane(vf_max(s0, s1));
        top = m > top ? m : top;
        vf p0 = vf_exp(vf_sub(s0, vf_set1(top))), p1 = vf_exp(vf_sub(s1, vf_set1(top)));
        const float shrink = exp_one(m - top);
        l = l * shrink + vf_sum(vf_add(p0, p1));
        m = top;
        vf_store(p, p0);
        vf_store(p + 16, p1);
        for (size_t d = 0; d < width; d += 16) {
            vf value = vf_mul(vf_load(a + d), vf_set1(shrink));
            for (uint32_t j = 0; j < n; j++) {
                const size_t at = j * width + d;
                vf v = bf16 ? vf_load_bf16((const uint16_t *)v_blocks[b] + at)
                            : vf_load((const float *)v_blocks[b] + at);
                value = vf_mla(v, vf_set1(p[j]), value);
            }
            vf_store(a + d, value);
        }
    }
    const float top = *max > m ? *max : m, old = exp_one(*max - top), new = exp_one(m - top);
    *sum = *sum * old + l * new;
    for (size_t d = 0; d < width; d += 16)
        vf_store(acc + d, vf_add(vf_mul(vf_load(acc + d), vf_set1(old)),
                                 vf_mul(vf_load(a + d), vf_set1(new))));
    *max = top;
}

#define QB_ATTN_CHUNK(name, bf16)                                                               \
    static void QB_NAME(name)(                                                                  \
        qb_attn_state state, const float *q, size_t q_stride, const uint32_t *n_keys,           \
        size_t n_queries, const void *const *k_blocks, const void *const *v_blocks, size_t dim) \
    {                                                                                           \
        const size_t width = qb_round_up(dim, 16);                                              \
        for (size_t i = 0; i < n_queries; i++)                                                  \
            if (n_keys[i] > 0)                                                                  \
                attend(bf16, &state.max[i], &state.sum[i], state.acc + i * width,               \
                       q + i * q_stride, n_keys[i], k_blocks, v_blocks, dim);                   \
    }

QB_ATTN_CHUNK(attn_f32, false)
QB_ATTN_CHUNK(attn_bf16, true)

void QB_NAME(qb_attn_pick)(qb_attn_kernels *kernels)
{
    kernels->chunk[QB_KV_F32] = QB_NAME(attn_f32);
    kernels->chunk[QB_KV_BF16] = QB_NAME(attn_bf16);
}
