/* What the binding's files share: the module's state, its types, and the rules at the border.
 * Only this folder knows Python. Objects become views first, then the GIL is dropped for one call
 * of the core, then the status becomes an exception. */
#ifndef QB_PY_CORE_H
#define QB_PY_CORE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define PY_ARRAY_UNIQUE_SYMBOL qb_array_api
#ifndef QB_IMPORT_ARRAY
#define NO_IMPORT_ARRAY
#endif
#include <numpy/arrayobject.h>

#include "base/cpu.h"
#include "kernels/kernels.h"
#include "model/decoder.h"
#include "model/kv_cache.h"
#include "model/tensor.h"
#include "ops/sampling.h"

typedef struct {
    PyTypeObject *tensor_type, *cache_type, *decoder_type;
    PyObject *format_error, *capacity_error, *busy_error, *non_finite_error;
    uint32_t isa_mask;
    qb_isa default_isa;
} qb_module_state;

extern struct PyModuleDef qb_module;
qb_module_state *qb_state_of_type(PyTypeObject *type);
qb_module_state *qb_state_of_module(PyObject *module);

typedef struct {
    PyObject_HEAD qb_tensor *tensor;
} qb_py_tensor;

typedef struct {
    PyObject_HEAD qb_kv_cache *cache;
    bool busy;
} qb_py_cache;

typedef struct {
    PyObject_HEAD qb_decoder *decoder;
    PyObject *weights; /* keeps the packed tensors alive */
    bool busy;
} qb_py_decoder;

/* Takes decoder and cache for one call; false with BusyError if another has them. */
bool qb_acquire(qb_py_decoder *decoder, qb_py_cache *cache);
void qb_hand_back(qb_py_decoder *decoder, qb_py_cache *cache);
PyObject *qb_py_forward(PyObject *decoder, PyObject *args);
PyObject *qb_py_round_nearest(PyObject *module, PyObject *args);
PyObject *qb_py_measure_peaks(PyObject *module, PyObject *args);
PyObject *qb_py_time_products(PyObject *module, PyObject *args);
PyObject *qb_py_time_attention(PyObject *module, PyObject *args);

/* A float format by name (FormatError otherwise), and the element type of its arrays. */
bool qb_float_format_argument(const qb_module_state *state, const char *name, qb_format *out);
int qb_float_typenum(qb_format format);

extern PyType_Spec qb_tensor_spec, qb_cache_spec, qb_decoder_spec_;
extern PyMethodDef qb_probe_methods[];

/* Sets the exception of a status; `what` names the operation. Returns NULL. */
PyObject *qb_raise(const qb_module_state *state, qb_status status, const char *what);

/* A C-contiguous array of that type and rank (ndim < 0: any), borrowed from an object that must be
 * one already: a wrong dtype is a TypeError, not a silent conversion. New reference. */
PyArrayObject *qb_array(PyObject *object, int type, int ndim, const char *name);
/* As qb_array, with the length along the first axis required (-1: any). */
PyArrayObject *qb_vector(PyObject *object, int type, npy_intp length, const char *name);

qb_status qb_isa_argument(const qb_module_state *state, const char *name, qb_isa *out);
bool qb_kernels_argument(const qb_module_state *state, const char *isa_name, qb_kernels *out);
bool qb_kv_format_argument(const qb_module_state *state, const char *name, qb_kv_format *out);
bool qb_mode_argument(const char *name, qb_mode *out);
bool qb_threads_argument(int n_threads);
/* temperature finite and >= 0, top_k >= 0, top_p in 0..1; ValueError otherwise. */
bool qb_sampling_argument(double temperature, Py_ssize_t top_k, double top_p, qb_sampling *out);

/* Answers signals from inside a call that has dropped the GIL. One of these lives as long as the
 * call, so that many short forwards in a row are polled too. */
typedef struct {
    PyThreadState *saved;
    int64_t next_ns;
} qb_signal_poll;

/* Drops the GIL; `poll` is then the context of qb_poll_signals until qb_signals_end takes it again. */
void qb_signals_begin(qb_signal_poll *poll);
void qb_signals_end(qb_signal_poll *poll);
int qb_poll_signals(void *context);

#define QB_DATA(array) PyArray_DATA(array)
#define QB_LENGTH(array) ((size_t)PyArray_DIM(array, 0))

#endif
