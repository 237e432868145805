#include "formats/unit.h"

#include <string.h>

enum { HALF = QB_PANEL_ROWS / 2 };

void qb_unit_set_row(qb_unit *unit, size_t row, const uint8_t codes[QB_UNIT_LEN])
{
    for (size_t s = 0; s < QB_UNIT_STEPS; s++)
        memcpy(&unit->step[s][row], codes + s * QB_STEP_LEN, QB_STEP_LEN);
}

void qb_unit_get_row(uint8_t codes[QB_UNIT_LEN], const qb_unit *unit, size_t row)
{
    for (size_t s = 0; s < QB_UNIT_STEPS; s++)
        memcpy(codes + s * QB_STEP_LEN, &unit->step[s][row], QB_STEP_LEN);
}

/* The lowest `width` bits of each byte. */
static uint32_t low_bits(unsigned width) { return 0x01010101u * ((1u << width) - 1); }

/* Two bits of the codes of two steps in one vector of bytes, as 2 and 3 bits store them. */
static void store_pairs(uint32_t out[HALF], const qb_unit *unit, size_t pair)
{
    const uint32_t *first = unit->step[2 * pair], *second = unit->step[2 * pair + 1];
    const uint32_t mask = low_bits(2);
    for (size_t r = 0; r < HALF; r++)
        out[r] = (first[r] & mask) | (first[r + HALF] & mask) << 2 | (second[r] & mask) << 4 |
                 (second[r + HALF] & mask) << 6;
}

static void load_pairs(qb_unit *unit, size_t pair, const uint32_t in[HALF])
{
    uint32_t *first = unit->step[2 * pair], *second = unit->step[2 * pair + 1];
    const uint32_t mask = low_bits(2);
    for (size_t r = 0; r < HALF; r++) {
        first[r] = in[r] & mask;
        first[r + HALF] = in[r] >> 2 & mask;
        second[r] = in[r] >> 4 & mask;
        second[r + HALF] = in[r] >> 6 & mask;
    }
}

static unsigned third_bit(size_t step, size_t row)
{
    return (unsigned)qb_third_bit((int)step) + (row < HALF ? 0 : 2);
}

void qb_unit_store(uint8_t *out, unsigned bits, const qb_unit *unit)
{
    uint32_t words[QB_UNIT_STEPS * QB_PANEL_ROWS] = {0};
    if (bits == 8)
        memcpy(words, unit->step, sizeof words);
    else if (bits == 4)
        for (size_t s = 0; s < QB_UNIT_STEPS; s++)
            for (size_t r = 0; r < HALF; r++)
                words[s * HALF + r] = unit->step[s][r] | unit->step[s][r + HALF] << 4;
    else
        for (size_t pair = 0; pair < 2; pair++)
            store_pairs(words + pair * HALF, unit, pair);
    if (bits == 3)
        for (size_t s = 0; s < QB_UNIT_STEPS; s++)
            for (size_t r = 0; r < QB_PANEL_ROWS; r++)
                words[2 * HALF + r % HALF] |= (unit->step[s][r] >> 2 & low_bits(1))
                                              << third_bit(s, r);
    memcpy(out, words, 64 * bits);
}

void qb_unit_load(qb_unit *unit, unsigned bits, const uint8_t *in)
{
    uint32_t words[QB_UNIT_STEPS * QB_PANEL_ROWS];
    memcpy(words, in, 64 * bits);
    if (bits == 8)
        memcpy(unit->step, words, sizeof words);
    else if (bits == 4)
        for (size_t s = 0; s < QB_UNIT_STEPS; s++)
            for (size_t r = 0; r < HALF; r++) {
                unit->step[s][r] = words[s * HALF + r] & low_bits(4);
                unit->step[s][r + HALF] = words[s * HALF + r] >> 4 & low_bits(4);
            }
    else
        for (size_t pair = 0; pair < 2; pair++)
            load_pairs(unit, pair, words + pair * HALF);
    if (bits == 3)
        for (size_t s = 0; s < QB_UNIT_STEPS; s++)
            for (size_t r = 0; r < QB_PANEL_ROWS; r++)
                unit->step[s][r] |= (words[2 * HALF + r % HALF] >> third_bit(s, r) & low_bits(1))
                                    << 2;
}
