/* ndarrays at the border, and the few other arguments that several functions take. */
#include "binding/py_core.h"

#include <float.h>
#include <string.h>
#include <time.h>

#define POLL_INTERVAL_NS 20000000

PyArrayObject *qb_array(PyObject *object, int type, int ndim, const char *name)
{
    if (!PyArray_Check(object)) {
        PyErr_Format(PyExc_TypeError, "%s must be a numpy array, not %s", name,
                     Py_TYPE(object)->tp_name);
        return NULL;
    }
    PyArrayObject *array = (PyArrayObject *)object;
    if (PyArray_TYPE(array) != type) {
        PyArray_Descr *expected = PyArray_DescrFromType(type);
        PyErr_Format(PyExc_TypeError, "%s must have dtype %S, not %S", name, (PyObject *)expected,
                     (PyObject *)PyArray_DESCR(array));
        Py_XDECREF((PyObject *)expected);
        return NULL;
    }
    if (ndim >= 0 && PyArray_NDIM(array) != ndim) {
        PyErr_Format(PyExc_ValueError, "%s must have %d dimensions, not %d", name, ndim,
                     PyArray_NDIM(array));
        return NULL;
    }
    if (!PyArray_IS_C_CONTIGUOUS(array) || !PyArray_ISALIGNED(array) ||
        !PyArray_ISNOTSWAPPED(array)) {
        PyErr_Format(PyExc_ValueError, "%s must be C-contiguous, aligned and in native byte order",
                     name);
        return NULL;
    }
    Py_INCREF(object);
    return array;
}

PyArrayObject *qb_vector(PyObject *object, int type, npy_intp length, const char *name)
{
    PyArrayObject *array = qb_array(object, type, 1, name);
    if (array != NULL && length >= 0 && PyArray_DIM(array, 0) != length) {
        PyErr_Format(PyExc_ValueError, "%s must have %zd elements, not %zd", name,
                     (Py_ssize_t)length, (Py_ssize_t)PyArray_DIM(array, 0));
        Py_DECREF((PyObject *)array);
        return NULL;
    }
    return array;
}

qb_status qb_isa_argument(const qb_module_state *state, const char *name, qb_isa *out)
{
    *out = state->default_isa;
    if (name == NULL)
        return QB_OK;
    QB_TRY(qb_isa_by_name(out, name));
    return state->isa_mask & (1u << *out) ? QB_OK : QB_ERR_ISA;
}

bool qb_kernels_argument(const qb_module_state *state, const char *isa_name, qb_kernels *out)
{
    qb_isa isa;
    qb_status status = qb_isa_argument(state, isa_name, &isa);
    if (status == QB_OK)
        status = qb_kernels_init(out, isa);
    if (status != QB_OK)
        qb_raise(state, status, isa_name);
    return status == QB_OK;
}

bool qb_mode_argument(const char *name, qb_mode *out)
{
    static const char *const names[QB_MODE_COUNT] = {"exact", "faithful", "fast"};
    for (int mode = 0; mode < QB_MODE_COUNT; mode++)
        if (strcmp(name, names[mode]) == 0) {
            *out = (qb_mode)mode;
            return true;
        }
    PyErr_Format(PyExc_ValueError, "mode must be 'exact', 'faithful' or 'fast', not '%s'", name);
    return false;
}

bool qb_threads_argument(int n_threads)
{
    if (n_threads >= 1 && n_threads <= 256)
        return true;
    PyErr_Format(PyExc_ValueError, "n_threads must be 1 to 256, not %d", n_threads);
    return false;
}

bool qb_sampling_argument(double temperature, Py_ssize_t top_k, double top_p, qb_sampling *out)
{
    const bool ok = temperature >= 0.0 && temperature <= (double)FLT_MAX && top_k >= 0 &&
                    top_k <= UINT32_MAX && top_p >= 0.0 && top_p <= 1.0;
    if (!ok)
        PyErr_SetString(PyExc_ValueError, "temperature must be finite and at least 0, top_k at "
                                          "least 0 (0: all), top_p between 0 and 1");
    else
        *out = (qb_sampling){(float)temperature, (uint32_t)top_k, (float)top_p};
    return ok;
}

/* To about 4 ms, at a tenth of the price: it is asked for after every piece of work. */
static int64_t now_ns(void)
{
    struct timespec t;
#if defined(CLOCK_MONOTONIC_COARSE)
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
#else
    clock_gettime(CLOCK_MONOTONIC, &t);
#endif
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void qb_signals_begin(qb_signal_poll *poll)
{
    poll->next_ns = now_ns() + POLL_INTERVAL_NS;
    poll->saved = PyEval_SaveThread();
}

void qb_signals_end(qb_signal_poll *poll) { PyEval_RestoreThread(poll->saved); }

int qb_poll_signals(void *context)
{
    qb_signal_poll *poll = context;
    if (now_ns() < poll->next_ns)
        return 0;
    PyEval_RestoreThread(poll->saved);
    const int stop = PyErr_CheckSignals();
    poll->saved = PyEval_SaveThread();
    poll->next_ns = now_ns() + POLL_INTERVAL_NS;
    return stop;
}

int qb_float_typenum(qb_format format)
{
    return format == QB_F32 ? NPY_FLOAT32 : format == QB_F16 ? NPY_FLOAT16 : NPY_UINT16;
}

bool qb_float_format_argument(const qb_module_state *state, const char *name, qb_format *out)
{
    if (qb_format_by_name(out, name) == QB_OK && qb_format_is_float(*out))
        return true;
    (void)qb_raise(state, QB_ERR_FORMAT, name);
    return false;
}
