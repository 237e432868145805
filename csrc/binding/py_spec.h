/* A decoder's spec and weights from Python. Pointers into arrays live as long as the objects that
 * they were read from. Every function returns false with an exception set. */
#ifndef QB_PY_SPEC_H
#define QB_PY_SPEC_H

#include "binding/py_core.h"

enum { QB_MAX_ROTATIONS = 16 };

bool qb_read_spec(qb_decoder_spec *spec, PyObject *dict);
/* Also sets the sizes of the spec that weights have. To be freed in any case. */
bool qb_read_weights(const qb_module_state *state, qb_decoder_spec *spec, qb_decoder_weights *out,
                     PyObject *model, PyObject *layers);
void qb_free_weights(const qb_decoder_spec *spec, qb_decoder_weights *weights);
/* A tuple of n pairs (inverse frequencies, factor). */
bool qb_read_rotations(qb_rotation *out, size_t n, size_t half, PyObject *tuple);

#endif
