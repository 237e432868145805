/* A packed weight matrix that owns its panels. */
#ifndef QB_TENSOR_H
#define QB_TENSOR_H

#include "formats/panel.h"

typedef struct {
    qb_weights weights; /* its grid and data point into this object */
    qb_grid grid;
    uint8_t *panels;
} qb_tensor;

/* From raw elements (n_rows, n_cols) of f32, f16 or bf16, C order. */
qb_status qb_tensor_from_dense(qb_tensor **out, qb_format format, const void *values, size_t n_rows,
                               size_t n_cols, unsigned n_threads);

/* From codes (n_rows, n_cols), scales (n_rows, n_groups) representable in scale_type and zero points
 * (n_rows, n_groups), NULL for symmetric formats. Codes and zero points must be < 2^bits
 * (QB_ERR_RANGE), scales finite (QB_ERR_NONFINITE). */
qb_status qb_tensor_from_codes(qb_tensor **out, qb_format format, qb_scale_type scale_type,
                               size_t group, const uint8_t *codes, const float *scales,
                               const uint8_t *zeros, size_t n_rows, size_t n_cols,
                               unsigned n_threads);

/* The inverse of qb_tensor_from_codes; zeros may be NULL. QB_ERR_FORMAT for float tensors. */
qb_status qb_tensor_codes(const qb_tensor *tensor, uint8_t *codes, float *scales, uint8_t *zeros);

size_t qb_tensor_bytes(const qb_tensor *tensor);
void qb_tensor_free(qb_tensor *tensor);

#endif
