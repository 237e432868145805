/* The only place where a status becomes an exception. */
#include "binding/py_core.h"

PyObject *qb_raise(const qb_module_state *state, qb_status status, const char *what)
{
    PyObject *type;
    switch (status) {
    case QB_ERR_CANCELLED: /* the signal handler has set its exception */
        if (PyErr_Occurred())
            return NULL;
        type = PyExc_KeyboardInterrupt;
        break;
    case QB_ERR_NOMEM:
        type = PyExc_MemoryError;
        break;
    case QB_ERR_SHAPE:
    case QB_ERR_RANGE:
        type = PyExc_ValueError;
        break;
    case QB_ERR_FORMAT:
        type = state->format_error;
        break;
    case QB_ERR_CAPACITY:
        type = state->capacity_error;
        break;
    case QB_ERR_BUSY:
        type = state->busy_error;
        break;
    case QB_ERR_NONFINITE:
        type = state->non_finite_error;
        break;
    case QB_ERR_ISA:
        type = PyExc_RuntimeError;
        break;
    default:
        type = PyExc_SystemError;
    }
    PyErr_Format(type, "%s: %s", what == NULL ? "qbench" : what, qb_status_text(status));
    return NULL;
}
