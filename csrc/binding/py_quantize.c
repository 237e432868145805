/* Quantizers of the core as functions of the module: arrays in, canonical codes out. */
#include "binding/py_core.h"

#include "ops/round_nearest.h"

/* (values, format, bits, group, symmetric, scale_type, n_threads) -> (codes, scales, zeros) */
PyObject *qb_py_round_nearest(PyObject *module, PyObject *args)
{
    PyObject *object;
    const char *format_name, *scale_name;
    int bits, symmetric, n_threads;
    Py_ssize_t group;
    if (!PyArg_ParseTuple(args, "Osinpsi:round_nearest", &object, &format_name, &bits, &group,
                          &symmetric, &scale_name, &n_threads))
        return NULL;
    const qb_module_state *state = qb_state_of_module(module);
    qb_rounding r = {.bits = (unsigned)bits, .symmetric = symmetric != 0};
    if (!qb_float_format_argument(state, format_name, &r.type) || !qb_threads_argument(n_threads))
        return NULL;
    if (qb_scale_type_by_name(&r.scale_type, scale_name) != QB_OK)
        return qb_raise(state, QB_ERR_FORMAT, scale_name);
    PyArrayObject *values = qb_array(object, qb_float_typenum(r.type), 2, "values");
    if (values == NULL)
        return NULL;
    const npy_intp n_rows = PyArray_DIM(values, 0), n_cols = PyArray_DIM(values, 1);
    if (n_cols < 1 || group < 1) {
        Py_DECREF((PyObject *)values);
        return PyErr_Format(PyExc_ValueError,
                            "inputs and group must be at least 1, not %zd and %zd",
                            (Py_ssize_t)n_cols, group);
    }
    r.values = QB_DATA(values);
    r.n_rows = (size_t)n_rows;
    r.n_cols = (size_t)n_cols;
    r.group = QB_MIN((size_t)group, r.n_cols);
    npy_intp shape[2] = {n_rows, n_cols};
    npy_intp groups[2] = {n_rows, (npy_intp)qb_ceil_div(r.n_cols, r.group)};
    PyObject *codes = PyArray_SimpleNew(2, shape, NPY_UINT8);
    PyObject *scales = PyArray_SimpleNew(2, groups, NPY_FLOAT32);
    PyObject *zeros = symmetric ? Py_NewRef(Py_None) : PyArray_SimpleNew(2, groups, NPY_UINT8);
    PyObject *result = NULL;
    if (codes != NULL && scales != NULL && zeros != NULL) {
        r.codes = QB_DATA((PyArrayObject *)codes);
        r.scales = QB_DATA((PyArrayObject *)scales);
        r.zeros = symmetric ? NULL : QB_DATA((PyArrayObject *)zeros);
        qb_status status;
        Py_BEGIN_ALLOW_THREADS status = qb_round_nearest(&r, (unsigned)n_threads);
        Py_END_ALLOW_THREADS result = status == QB_OK ? PyTuple_Pack(3, codes, scales, zeros)
                                                      : qb_raise(state, status, "round_nearest");
    }
    Py_XDECREF(codes);
    Py_XDECREF(scales);
    Py_XDECREF(zeros);
    Py_DECREF((PyObject *)values);
    return result;
}
