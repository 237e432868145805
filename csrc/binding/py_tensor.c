/* PackedTensor: a packed weight matrix as a Python object. Immutable. */
#include "binding/py_core.h"

static PyObject *wrap(PyTypeObject *type, qb_tensor *tensor)
{
    qb_py_tensor *self = (qb_py_tensor *)type->tp_alloc(type, 0);
    if (self == NULL) {
        qb_tensor_free(tensor);
        return NULL;
    }
    self->tensor = tensor;
    return (PyObject *)self;
}

static PyObject *from_dense(PyObject *cls, PyObject *args)
{
    PyObject *object;
    const char *name;
    int n_threads;
    if (!PyArg_ParseTuple(args, "Osi:from_dense", &object, &name, &n_threads))
        return NULL;
    qb_module_state *state = qb_state_of_type((PyTypeObject *)cls);
    qb_format format;
    qb_status status;
    if (!qb_float_format_argument(state, name, &format) || !qb_threads_argument(n_threads))
        return NULL;
    PyArrayObject *values = qb_array(object, qb_float_typenum(format), 2, "array");
    if (values == NULL)
        return NULL;
    qb_tensor *tensor;
    Py_BEGIN_ALLOW_THREADS status =
        qb_tensor_from_dense(&tensor, format, QB_DATA(values), (size_t)PyArray_DIM(values, 0),
                             (size_t)PyArray_DIM(values, 1), (unsigned)n_threads);
    Py_END_ALLOW_THREADS Py_DECREF((PyObject *)values);
    return status == QB_OK ? wrap((PyTypeObject *)cls, tensor)
                           : qb_raise(state, status, "from_dense");
}

static PyObject *from_codes(PyObject *cls, PyObject *args)
{
    PyObject *codes_object, *scales_object, *zeros_object;
    const char *scale_name;
    Py_ssize_t bits, group;
    int n_threads;
    if (!PyArg_ParseTuple(args, "OOOnnsi:from_codes", &codes_object, &scales_object, &zeros_object,
                          &bits, &group, &scale_name, &n_threads) ||
        !qb_threads_argument(n_threads))
        return NULL;
    qb_module_state *state = qb_state_of_type((PyTypeObject *)cls);
    qb_format format;
    qb_scale_type scale_type;
    if (bits < 1 || bits > 8 ||
        qb_format_of_bits(&format, (unsigned)bits, zeros_object == Py_None) != QB_OK)
        return PyErr_Format(state->format_error, "no integer format of %zd bits", bits);
    if (qb_scale_type_by_name(&scale_type, scale_name) != QB_OK)
        return qb_raise(state, QB_ERR_FORMAT, scale_name);
    if (group < 1)
        return PyErr_Format(PyExc_ValueError, "group must be at least 1, not %zd", group);

    PyObject *result = NULL;
    PyArrayObject *zeros = NULL, *scales = NULL;
    PyArrayObject *codes = qb_array(codes_object, NPY_UINT8, 2, "codes");
    if (codes == NULL)
        return NULL;
    scales = qb_array(scales_object, NPY_FLOAT32, 2, "scales");
    if (scales == NULL)
        goto done;
    if (zeros_object != Py_None && (zeros = qb_array(zeros_object, NPY_UINT8, 2, "zeros")) == NULL)
        goto done;
    const size_t n_rows = (size_t)PyArray_DIM(codes, 0), n_cols = (size_t)PyArray_DIM(codes, 1);
    const size_t n_groups = n_cols == 0 ? 0 : qb_ceil_div(n_cols, QB_MIN((size_t)group, n_cols));
    PyArrayObject *both[] = {scales, zeros};
    for (int i = 0; i < 2; i++)
        if (both[i] != NULL && ((size_t)PyArray_DIM(both[i], 0) != n_rows ||
                                (size_t)PyArray_DIM(both[i], 1) != n_groups)) {
            PyErr_Format(PyExc_ValueError, "%s must have shape (%zu, %zu), not (%zd, %zd)",
                         i == 0 ? "scales" : "zeros", n_rows, n_groups,
                         (Py_ssize_t)PyArray_DIM(both[i], 0), (Py_ssize_t)PyArray_DIM(both[i], 1));
            goto done;
        }
    qb_tensor *tensor;
    qb_status status;
    Py_BEGIN_ALLOW_THREADS status = qb_tensor_from_codes(
        &tensor, format, scale_type, (size_t)group, QB_DATA(codes), QB_DATA(scales),
        zeros == NULL ? NULL : QB_DATA(zeros), n_rows, n_cols, (unsigned)n_threads);
    Py_END_ALLOW_THREADS result =
        status == QB_OK ? wrap((PyTypeObject *)cls, tensor)
                        : qb_raise(state, status, "from_codes: codes, zeros or scales");
done:
    Py_DECREF((PyObject *)codes);
    Py_XDECREF((PyObject *)scales);
    Py_XDECREF((PyObject *)zeros);
    return result;
}

static PyObject *codes(PyObject *object, PyObject *unused)
{
    (void)unused;
    const qb_tensor *tensor = ((qb_py_tensor *)object)->tensor;
    const qb_weights *w = &tensor->weights;
    if (qb_format_is_float(w->format))
        return qb_raise(qb_state_of_type(Py_TYPE(object)), QB_ERR_FORMAT, "codes");
    npy_intp shape[2] = {(npy_intp)w->n_rows, (npy_intp)w->n_cols};
    npy_intp groups[2] = {(npy_intp)w->n_rows, (npy_intp)w->grid->n_groups};
    const bool asymmetric = qb_formats[w->format].kind == QB_KIND_ASYM;
    PyObject *out = PyArray_SimpleNew(2, shape, NPY_UINT8);
    PyObject *scales = PyArray_SimpleNew(2, groups, NPY_FLOAT32);
    PyObject *zeros = asymmetric ? PyArray_SimpleNew(2, groups, NPY_UINT8) : Py_NewRef(Py_None);
    if (out == NULL || scales == NULL || zeros == NULL) {
        Py_XDECREF(out);
        Py_XDECREF(scales);
        Py_XDECREF(zeros);
        return NULL;
    }
    (void)qb_tensor_codes(tensor, QB_DATA((PyArrayObject *)out), QB_DATA((PyArrayObject *)scales),
                          asymmetric ? QB_DATA((PyArrayObject *)zeros) : NULL);
    return Py_BuildValue("(NNN)", out, scales, zeros);
}

static PyObject *get_shape(PyObject *self, void *unused)
{
    (void)unused;
    const qb_weights *w = &((qb_py_tensor *)self)->tensor->weights;
    return Py_BuildValue("(nn)", (Py_ssize_t)w->n_rows, (Py_ssize_t)w->n_cols);
}

static PyObject *get_format(PyObject *self, void *unused)
{
    (void)unused;
    return PyUnicode_FromString(qb_formats[((qb_py_tensor *)self)->tensor->weights.format].name);
}

static PyObject *get_group(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromSize_t(((qb_py_tensor *)self)->tensor->weights.grid->group);
}

static PyObject *get_scale_type(PyObject *self, void *unused)
{
    (void)unused;
    const qb_weights *w = &((qb_py_tensor *)self)->tensor->weights;
    if (qb_format_is_float(w->format))
        Py_RETURN_NONE;
    return PyUnicode_FromString(qb_scale_type_name(w->scale_type));
}

static PyObject *get_nbytes(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromSize_t(qb_tensor_bytes(((qb_py_tensor *)self)->tensor));
}

static void dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    qb_tensor_free(((qb_py_tensor *)self)->tensor);
    type->tp_free(self);
    Py_DECREF((PyObject *)type);
}

static PyMethodDef methods[] = {
    {"from_dense", from_dense, METH_VARARGS | METH_CLASS, "Pack an unquantized matrix."},
    {"from_codes", from_codes, METH_VARARGS | METH_CLASS, "Pack integer codes and their scales."},
    {"codes", codes, METH_NOARGS, "Codes, scales and zero points, as given."},
    {NULL, NULL, 0, NULL}};

static PyGetSetDef getset[] = {{"shape", get_shape, NULL, "(outputs, inputs)", NULL},
                               {"format", get_format, NULL, "Name of the weight format.", NULL},
                               {"group", get_group, NULL, "Inputs that share a scale.", NULL},
                               {"scale_type", get_scale_type, NULL, "Storage of a scale.", NULL},
                               {"nbytes", get_nbytes, NULL, "Bytes of the panels.", NULL},
                               {NULL, NULL, NULL, NULL, NULL}};

static PyType_Slot slots[] = {{Py_tp_dealloc, dealloc},
                              {Py_tp_methods, methods},
                              {Py_tp_getset, getset},
                              {Py_tp_doc, "A packed weight matrix."},
                              {0, NULL}};

PyType_Spec qb_tensor_spec = {.name = "qbench._core.PackedTensor",
                              .basicsize = sizeof(qb_py_tensor),
                              .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION |
                                       Py_TPFLAGS_IMMUTABLETYPE,
                              .slots = slots};
