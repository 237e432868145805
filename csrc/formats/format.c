#include "formats/format.h"

#include <string.h>

const qb_format_traits qb_formats[QB_FORMAT_COUNT] = {
#define QB_FORMAT(id, name, bits, kind) [QB_##id] = {name, bits, QB_KIND_##kind},
#include "formats/formats.def"
#undef QB_FORMAT
};

static const char *const scale_names[QB_SCALE_COUNT] = {
    [QB_SCALE_BF16] = "bf16", [QB_SCALE_F16] = "f16", [QB_SCALE_F32] = "f32"};

qb_status qb_format_by_name(qb_format *out, const char *name)
{
    for (int f = 0; f < QB_FORMAT_COUNT; f++)
        if (strcmp(name, qb_formats[f].name) == 0) {
            *out = (qb_format)f;
            return QB_OK;
        }
    return QB_ERR_FORMAT;
}

qb_status qb_scale_type_by_name(qb_scale_type *out, const char *name)
{
    for (int t = 0; t < QB_SCALE_COUNT; t++)
        if (strcmp(name, scale_names[t]) == 0) {
            *out = (qb_scale_type)t;
            return QB_OK;
        }
    return QB_ERR_FORMAT;
}

const char *qb_scale_type_name(qb_scale_type type) { return scale_names[type]; }

qb_status qb_format_of_bits(qb_format *out, unsigned bits, bool symmetric)
{
    qb_kind kind = symmetric ? QB_KIND_SYM : QB_KIND_ASYM;
    for (int f = 0; f < QB_FORMAT_COUNT; f++)
        if (qb_formats[f].bits == bits && qb_formats[f].kind == kind) {
            *out = (qb_format)f;
            return QB_OK;
        }
    return QB_ERR_FORMAT;
}
