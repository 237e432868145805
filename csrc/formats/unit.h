/* One unit, 16 positions of 32 rows, between codes by rows and the bytes of a panel.
 *
 * A dword holds the four codes of one row in one step, a byte each; the layouts of `panel.h` are
 * shifts and merges of such dwords, in which no byte reaches into the next. */
#ifndef QB_UNIT_H
#define QB_UNIT_H

#include "formats/panel.h"

enum { QB_UNIT_STEPS = QB_UNIT_LEN / QB_STEP_LEN };

typedef struct {
    uint32_t step[QB_UNIT_STEPS][QB_PANEL_ROWS];
} qb_unit;

/* Takes the 16 codes of one row in. */
void qb_unit_set_row(qb_unit *unit, size_t row, const uint8_t codes[QB_UNIT_LEN]);
void qb_unit_get_row(uint8_t codes[QB_UNIT_LEN], const qb_unit *unit, size_t row);

/* 64 * bits bytes of a panel. Codes are below 2^bits. */
void qb_unit_store(uint8_t *out, unsigned bits, const qb_unit *unit);
void qb_unit_load(qb_unit *unit, unsigned bits, const uint8_t *in);

#endif
