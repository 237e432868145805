/* Facts about weight formats; the list is formats.def, and everything else is derived from it. */
#ifndef QB_FORMAT_H
#define QB_FORMAT_H

#include "base/base.h"
#include "base/status.h"

typedef enum {
#define QB_FORMAT(id, name, bits, kind) QB_##id,
#include "formats/formats.def"
#undef QB_FORMAT
    QB_FORMAT_COUNT
} qb_format;

typedef enum { QB_KIND_FLOAT, QB_KIND_SYM, QB_KIND_ASYM } qb_kind;

typedef struct {
    const char *name;
    unsigned bits;
    qb_kind kind;
} qb_format_traits;

extern const qb_format_traits qb_formats[QB_FORMAT_COUNT];

/* How a scale is stored. */
typedef enum { QB_SCALE_BF16, QB_SCALE_F16, QB_SCALE_F32, QB_SCALE_COUNT } qb_scale_type;

qb_status qb_format_by_name(qb_format *out, const char *name);
qb_status qb_scale_type_by_name(qb_scale_type *out, const char *name);
const char *qb_scale_type_name(qb_scale_type type);
QB_INLINE size_t qb_scale_bytes(qb_scale_type type) { return type == QB_SCALE_F32 ? 4 : 2; }

/* The integer format of that many bits; QB_ERR_FORMAT if there is none. */
qb_status qb_format_of_bits(qb_format *out, unsigned bits, bool symmetric);

QB_INLINE bool qb_format_is_float(qb_format format)
{
    return qb_formats[format].kind == QB_KIND_FLOAT;
}

#endif
