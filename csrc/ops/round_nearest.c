#include "ops/round_nearest.h"

#include <math.h>

#include "base/half.h"

enum { CHUNK = 256 }; /* values that are widened at a time */

/* Added to a float below 2^22 this leaves its nearest whole number, ties to even, in the low bits. */
#define TO_WHOLE 12582912.0f

/* Values [first, first + n) of a row, n at most CHUNK. */
static void widen(float out[CHUNK], const qb_rounding *r, size_t first, size_t n)
{
    if (r->type == QB_F32) {
        memcpy(out, (const float *)r->values + first, n * sizeof(float));
        return;
    }
    const uint16_t *halves = (const uint16_t *)r->values + first;
    if (r->type == QB_BF16)
        for (size_t i = 0; i < n; i++)
            out[i] = qb_bf16_to_f32(halves[i]);
    else
        for (size_t i = 0; i < n; i++)
            out[i] = qb_f16_to_f32(halves[i]);
}

/* Bits of a float as an integer of the same order, and back: it is its own inverse. Integers have a
 * vectorized minimum where floats, for the sake of NaN and signed zeros, have none. */
static int16_t ordered16(uint16_t bits)
{
    const int16_t value = (int16_t)bits;
    return (int16_t)(value ^ ((value >> 15) & 0x7fff));
}
static int32_t ordered32(uint32_t bits)
{
    const int32_t value = (int32_t)bits;
    return value ^ ((value >> 31) & 0x7fffffff);
}

/* The least and the largest of n values and zero. */
static void find_range(float *low, float *high, const qb_rounding *r, size_t first, size_t n)
{
    if (r->type == QB_F32) {
        const float *values = (const float *)r->values + first;
        int32_t least = 0, largest = 0;
        for (size_t i = 0; i < n; i++) {
            const int32_t key = ordered32(qb_f32_bits(values[i]));
            least = QB_MIN(least, key);
            largest = QB_MAX(largest, key);
        }
        *low = qb_f32_from_bits((uint32_t)ordered32((uint32_t)least));
        *high = qb_f32_from_bits((uint32_t)largest);
        return;
    }
    const uint16_t *values = (const uint16_t *)r->values + first;
    int16_t least = 0, largest = 0;
    for (size_t i = 0; i < n; i++) {
        const int16_t key = ordered16(values[i]);
        least = QB_MIN(least, key);
        largest = QB_MAX(largest, key);
    }
    const uint16_t lowest = (uint16_t)ordered16((uint16_t)least), highest = (uint16_t)largest;
    *low = r->type == QB_BF16 ? qb_bf16_to_f32(lowest) : qb_f16_to_f32(lowest);
    *high = r->type == QB_BF16 ? qb_bf16_to_f32(highest) : qb_f16_to_f32(highest);
}

/* The least value of the type that is not below the scale, nor below the least that the type is used
 * for: where denormals end, or for float16 its least number. */
static float round_up(float scale, qb_scale_type type)
{
    if (type == QB_SCALE_F16) {
        const uint16_t half = qb_f32_to_f16(QB_MAX(scale, 0x1p-24f));
        return qb_f16_to_f32((uint16_t)(half + (qb_f16_to_f32(half) < scale ? 1 : 0)));
    }
    scale = QB_MAX(scale, 0x1p-126f);
    return type == QB_SCALE_F32 ? scale
                                : qb_f32_from_bits((qb_f32_bits(scale) + 0xffffu) & 0xffff0000u);
}

static int32_t nearest(float x) { return (int32_t)(qb_f32_bits(x + TO_WHOLE) - 0x4b400000u); }

static void round_values(uint8_t *codes, const qb_rounding *r, size_t first, size_t n, float scale,
                         int32_t zero)
{
    const int16_t top = (int16_t)((1 << r->bits) - 1);
    float x[CHUNK];
    for (size_t done = 0; done < n; done += CHUNK) {
        const size_t part = QB_MIN((size_t)CHUNK, n - done);
        uint8_t out[CHUNK];
        widen(x, r, first + done, part);
        for (size_t i = 0; i < part; i++) {
            /* 16 bits hold it: at most 2 * 255 beside the grid. */
            int16_t code = (int16_t)(nearest(x[i] / scale) + zero);
            code = code < 0 ? 0 : code;
            out[i] = (uint8_t)(code > top ? top : code);
        }
        memcpy(codes + done, out, part);
    }
}

static void round_group(const qb_rounding *r, size_t row, size_t group)
{
    const size_t n_groups = qb_ceil_div(r->n_cols, r->group), at = row * n_groups + group;
    const size_t first = row * r->n_cols + group * r->group;
    const size_t n = QB_MIN(r->group, r->n_cols - group * r->group);
    const int32_t top = (1 << r->bits) - 1;
    float low, high;
    find_range(&low, &high, r, first, n);
    if (r->symmetric) {
        high = QB_MAX(-low, high);
        low = -high;
    }
    if (low == high) {
        low = -1.0f;
        high = 1.0f;
    }
    float scale = round_up((high - low) / (float)top, r->scale_type);
    if (QB_MAX(-low, high) > QB_LARGEST_WEIGHT)
        scale = NAN;
    r->scales[at] = scale;
    if (!isfinite(scale))
        return;
    int32_t zero = 1 << (r->bits - 1);
    if (!r->symmetric) {
        zero = QB_MIN(QB_MAX(nearest(-low / scale), 0), top);
        r->zeros[at] = (uint8_t)zero;
    }
    round_values(r->codes + first, r, first, n, scale, zero);
}

static void round_rows(qb_worker worker, void *context)
{
    const qb_rounding *r = context;
    const size_t n_groups = qb_ceil_div(r->n_cols, r->group);
    size_t begin, end;
    qb_worker_range(worker, r->n_rows, &begin, &end);
    for (size_t row = begin; row < end; row++)
        for (size_t group = 0; group < n_groups; group++)
            round_group(r, row, group);
}

qb_status qb_round_nearest(const qb_rounding *rounding, unsigned n_threads)
{
    QB_REQUIRE(qb_format_is_float(rounding->type), QB_ERR_FORMAT);
    QB_REQUIRE(rounding->bits >= 1 && rounding->bits <= 8 && rounding->group >= 1 &&
                   (rounding->zeros == NULL) == rounding->symmetric,
               QB_ERR_RANGE);
    qb_rounding r = *rounding;
    return qb_team_run(n_threads, round_rows, &r, NULL, NULL);
}
