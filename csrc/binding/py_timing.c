/* Functions of the module that measure: the machine's peaks, and products and attention beside them. */
#include "binding/py_core.h"

#include "model/attention_timing.h"
#include "ops/peak.h"
#include "ops/timing.h"

PyObject *qb_py_measure_peaks(PyObject *module, PyObject *args)
{
    const qb_module_state *state = qb_state_of_module(module);
    const char *isa_name;
    int n_threads;
    qb_kernels kernels;
    qb_peaks peaks;
    qb_status status;
    if (!PyArg_ParseTuple(args, "zi:measure_peaks", &isa_name, &n_threads) ||
        !qb_threads_argument(n_threads) || !qb_kernels_argument(state, isa_name, &kernels))
        return NULL;
    Py_BEGIN_ALLOW_THREADS status = qb_measure_peaks(&peaks, &kernels, (unsigned)n_threads);
    Py_END_ALLOW_THREADS if (status != QB_OK) return qb_raise(state, status, "measure_peaks");
    return Py_BuildValue("(dddd)", peaks.int_gmacs, peaks.float_gmacs, peaks.bf16_gmacs,
                         peaks.read_gbs);
}

enum { MAX_TIMED = 1024 };

/* Groups of tensors, a sequence of sequences; their weights in one flat list. False: exception set. */
static bool timed_groups(const qb_module_state *state, PyObject *object, qb_timed_group *groups,
                         size_t *n_groups, const qb_weights **weights)
{
    size_t n = 0;
    *n_groups = 0;
    for (Py_ssize_t g = 0; g < PyTuple_GET_SIZE(object); g++) {
        PyObject *group = PyTuple_GET_ITEM(object, g);
        if (!PyTuple_Check(group) || *n_groups == MAX_TIMED) {
            PyErr_Format(PyExc_ValueError, "groups must be at most %d tuples of tensors",
                         MAX_TIMED);
            return false;
        }
        groups[(*n_groups)++] = (qb_timed_group){weights + n, (size_t)PyTuple_GET_SIZE(group)};
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(group); i++) {
            PyObject *tensor = PyTuple_GET_ITEM(group, i);
            if (!PyObject_TypeCheck(tensor, state->tensor_type) || n == MAX_TIMED) {
                PyErr_Format(PyExc_ValueError, "groups must hold at most %d tensors", MAX_TIMED);
                return false;
            }
            weights[n++] = &((qb_py_tensor *)tensor)->tensor->weights;
        }
    }
    return true;
}

PyObject *qb_py_time_products(PyObject *module, PyObject *args)
{
    const qb_module_state *state = qb_state_of_module(module);
    const char *mode_name, *isa_name;
    int n_threads;
    Py_ssize_t n_tokens;
    PyObject *object;
    qb_kernels kernels;
    qb_mode mode;
    qb_timed_group groups[MAX_TIMED];
    const qb_weights *weights[MAX_TIMED];
    size_t n_groups;
    double seconds = 0.0;
    qb_status status;
    if (!PyArg_ParseTuple(args, "O!nszi:time_products", &PyTuple_Type, &object, &n_tokens,
                          &mode_name, &isa_name, &n_threads) ||
        !qb_threads_argument(n_threads) || !qb_mode_argument(mode_name, &mode) ||
        !qb_kernels_argument(state, isa_name, &kernels) ||
        !timed_groups(state, object, groups, &n_groups, weights))
        return NULL;
    if (n_tokens < 1 || n_tokens > 1 << 20)
        return PyErr_Format(PyExc_ValueError, "n_tokens must be 1 to %d", 1 << 20);
    Py_BEGIN_ALLOW_THREADS status = qb_time_products(&seconds, &kernels, mode, groups, n_groups,
                                                     (size_t)n_tokens, (unsigned)n_threads);
    Py_END_ALLOW_THREADS if (status != QB_OK) return qb_raise(state, status, "time_products");
    return PyFloat_FromDouble(seconds);
}

/* (n_tokens, n_heads, n_kv_heads, dim, kv_format, mode, isa, n_threads) -> seconds */
PyObject *qb_py_time_attention(PyObject *module, PyObject *args)
{
    const qb_module_state *state = qb_state_of_module(module);
    const char *mode_name, *isa_name, *kv_name;
    int n_threads;
    Py_ssize_t n_tokens, n_heads, n_kv_heads, dim;
    qb_kernels kernels;
    qb_mode mode;
    qb_kv_format kv_format;
    double seconds = 0.0;
    qb_status status;
    if (!PyArg_ParseTuple(args, "nnnnsszi:time_attention", &n_tokens, &n_heads, &n_kv_heads, &dim,
                          &kv_name, &mode_name, &isa_name, &n_threads) ||
        !qb_threads_argument(n_threads) || !qb_mode_argument(mode_name, &mode) ||
        !qb_kv_format_argument(state, kv_name, &kv_format) ||
        !qb_kernels_argument(state, isa_name, &kernels))
        return NULL;
    if (QB_MIN(QB_MIN(n_tokens, n_heads), QB_MIN(n_kv_heads, dim)) < 1)
        return qb_raise(state, QB_ERR_RANGE, "time_attention");
    Py_BEGIN_ALLOW_THREADS status =
        qb_time_attention(&seconds, &kernels, mode, kv_format, (size_t)n_tokens, (size_t)n_heads,
                          (size_t)n_kv_heads, (size_t)dim, (unsigned)n_threads);
    Py_END_ALLOW_THREADS if (status != QB_OK) return qb_raise(state, status, "time_attention");
    return PyFloat_FromDouble(seconds);
}
