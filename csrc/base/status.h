/* How a function of the core fails: one list of codes, two macros, no exceptions, no aborts.
 * A fallible function returns qb_status and gives its results through pointers. */
#ifndef QB_STATUS_H
#define QB_STATUS_H

#define QB_STATUS_LIST(X)                                                \
    X(OK, 0, "success")                                                  \
    X(ERR_SHAPE, -1, "shapes do not fit together")                       \
    X(ERR_FORMAT, -2, "unknown weight format, or one not usable here")   \
    X(ERR_RANGE, -3, "an argument is outside its range")                 \
    X(ERR_NOMEM, -4, "out of memory")                                    \
    X(ERR_CAPACITY, -5, "the capacity of the cache is exhausted")        \
    X(ERR_BUSY, -6, "the object is in use by another call")              \
    X(ERR_ISA, -7, "this processor lacks the instruction set asked for") \
    X(ERR_NONFINITE, -8, "NaN or infinity met where a number is needed") \
    X(ERR_CANCELLED, -9, "interrupted")                                  \
    X(ERR_INTERNAL, -10, "internal error")

typedef enum {
#define QB_STATUS_ENUM(name, value, text) QB_##name = value,
    QB_STATUS_LIST(QB_STATUS_ENUM)
#undef QB_STATUS_ENUM
} qb_status;

const char *qb_status_text(qb_status status);

/* Guards an entry: returns `error` unless `cond` holds. */
#define QB_REQUIRE(cond, error) \
    do {                        \
        if (!(cond))            \
            return (error);     \
    } while (0)

/* Forwards a failure. */
#define QB_TRY(call)                \
    do {                            \
        qb_status qb_try_ = (call); \
        if (qb_try_ != QB_OK)       \
            return qb_try_;         \
    } while (0)

#endif
