/* Functions of the module: what is there (formats, tiers), and single operations on a chosen tier, by
 * which tests compare every kernel with the float64 reference. */
#include "binding/py_core.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "ops/matmul.h"
#include "ops/sampling.h"

static PyObject *formats(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    static const char *const kinds[] = {"float", "symmetric", "asymmetric"};
    PyObject *list = PyList_New(0);
    for (int f = 0; f < QB_FORMAT_COUNT && list != NULL; f++) {
        PyObject *entry = Py_BuildValue("(sIs)", qb_formats[f].name, qb_formats[f].bits,
                                        kinds[qb_formats[f].kind]);
        if (entry == NULL || PyList_Append(list, entry) < 0)
            Py_CLEAR(list);
        Py_XDECREF(entry);
    }
    return list;
}

/* All tiers, ascending, each with whether this machine has it. */
static PyObject *isa_tiers(PyObject *module, PyObject *unused)
{
    (void)unused;
    const qb_module_state *state = qb_state_of_module(module);
    PyObject *list = PyList_New(0);
    for (int isa = 0; isa < QB_ISA_COUNT && list != NULL; isa++) {
        PyObject *entry = Py_BuildValue("(sO)", qb_isa_name((qb_isa)isa),
                                        state->isa_mask & (1u << isa) ? Py_True : Py_False);
        if (entry == NULL || PyList_Append(list, entry) < 0)
            Py_CLEAR(list);
        Py_XDECREF(entry);
    }
    return list;
}

static PyObject *default_isa(PyObject *module, PyObject *unused)
{
    (void)unused;
    return PyUnicode_FromString(qb_isa_name(qb_state_of_module(module)->default_isa));
}

typedef struct {
    qb_kernels kernels;
    qb_mode mode;
    qb_product product;
    const float *x;
    size_t x_stride, n_tokens;
    qb_act_buffers acts;
} matmul_call;

static void matmul_worker(qb_worker worker, void *context)
{
    matmul_call *c = context;
    qb_matmul(worker, &c->kernels, c->mode, &c->product, 1,
              (qb_rows){.x = c->x, .x_stride = c->x_stride}, c->n_tokens, &c->acts);
}

static PyObject *matmul(PyObject *module, PyObject *args)
{
    const qb_module_state *state = qb_state_of_module(module);
    PyObject *x_object, *w_object;
    const char *mode_name, *isa_name;
    int n_threads;
    matmul_call call = {.n_tokens = 0};
    if (!PyArg_ParseTuple(args, "OO!szi:matmul", &x_object, state->tensor_type, &w_object,
                          &mode_name, &isa_name, &n_threads) ||
        !qb_threads_argument(n_threads) || !qb_mode_argument(mode_name, &call.mode) ||
        !qb_kernels_argument(state, isa_name, &call.kernels))
        return NULL;
    PyArrayObject *x = qb_array(x_object, NPY_FLOAT32, 2, "x");
    if (x == NULL)
        return NULL;
    const qb_weights *w = &((qb_py_tensor *)w_object)->tensor->weights;
    PyObject *out = NULL;
    void *padded_x = NULL, *padded_y = NULL;
    call.n_tokens = (size_t)PyArray_DIM(x, 0);
    call.x_stride = qb_round_up(w->n_cols, 16);
    if ((size_t)PyArray_DIM(x, 1) != w->n_cols) {
        PyErr_Format(PyExc_ValueError, "x must have shape (n, %zu), not (%zd, %zd)", w->n_cols,
                     (Py_ssize_t)PyArray_DIM(x, 0), (Py_ssize_t)PyArray_DIM(x, 1));
        goto done;
    }
    call.product = (qb_product){w, NULL, qb_n_panels(w->n_rows) * QB_PANEL_ROWS};
    qb_status status = qb_alloc(&padded_x, call.n_tokens * call.x_stride, sizeof(float));
    if (status == QB_OK)
        status = qb_alloc(&padded_y, call.n_tokens * call.product.y_stride, sizeof(float));
    if (status == QB_OK)
        status = qb_act_buffers_reserve(&call.acts, w, call.n_tokens, (unsigned)n_threads);
    if (status != QB_OK) {
        qb_raise(state, status, "matmul");
        goto done;
    }
    for (size_t t = 0; t < call.n_tokens; t++)
        memcpy((float *)padded_x + t * call.x_stride, (float *)QB_DATA(x) + t * w->n_cols,
               w->n_cols * sizeof(float));
    call.x = padded_x;
    call.product.y = padded_y;
    Py_BEGIN_ALLOW_THREADS status =
        qb_team_run((unsigned)n_threads, matmul_worker, &call, NULL, NULL);
    Py_END_ALLOW_THREADS npy_intp shape[2] = {(npy_intp)call.n_tokens, (npy_intp)w->n_rows};
    out = PyArray_SimpleNew(2, shape, NPY_FLOAT32);
    for (size_t t = 0; t < call.n_tokens && out != NULL; t++)
        memcpy((float *)QB_DATA((PyArrayObject *)out) + t * w->n_rows,
               call.product.y + t * call.product.y_stride, w->n_rows * sizeof(float));
done:
    qb_act_buffers_destroy(&call.acts);
    qb_free(padded_x);
    qb_free(padded_y);
    Py_DECREF((PyObject *)x);
    return out;
}

/* An activation by name: f(gate) * up. */
static bool activate(const qb_kernels *kernels, const char *name, float *out, const float *gate,
                     const float *up, size_t n)
{
#define TRY(NAME, f)                                        \
    if (strcmp(name, #f) == 0) {                            \
        kernels->vec.activate[QB_##NAME](out, gate, up, n); \
        return true;                                        \
    }
    QB_ACTIVATIONS(TRY)
#undef TRY
    return false;
}

/* One row operation: "rmsnorm" (x, weight, eps), "layernorm" (x, weight that is the bias too, eps),
 * "softcap" (x, eps: the cap), "logsumexp" (x), or an activation (gate, up). */
static PyObject *row_operation(PyObject *module, PyObject *args)
{
    const qb_module_state *state = qb_state_of_module(module);
    const char *name, *isa_name;
    PyObject *x_object, *y_object;
    float eps;
    qb_kernels kernels;
    if (!PyArg_ParseTuple(args, "sOOfz:row_operation", &name, &x_object, &y_object, &eps,
                          &isa_name) ||
        !qb_kernels_argument(state, isa_name, &kernels))
        return NULL;
    PyArrayObject *x = qb_vector(x_object, NPY_FLOAT32, -1, "x");
    PyArrayObject *y = x == NULL ? NULL : qb_vector(y_object, NPY_FLOAT32, PyArray_DIM(x, 0), "y");
    PyObject *result = NULL;
    void *block = NULL;
    if (y == NULL)
        goto done;
    const size_t n = QB_LENGTH(x), padded = qb_round_up(n, 16);
    if (qb_alloc(&block, 3 * padded, sizeof(float)) != QB_OK) {
        PyErr_NoMemory();
        goto done;
    }
    float *a = block, *b = a + padded, *out = b + padded;
    memcpy(a, QB_DATA(x), n * sizeof(float));
    memcpy(b, QB_DATA(y), n * sizeof(float));
    if (strcmp(name, "logsumexp") == 0) {
        float max, sum;
        uint32_t best;
        kernels.vec.logsumexp(&max, &best, &sum, a, n);
        result = Py_BuildValue("(dId)", (double)max, (unsigned)best, (double)sum);
        goto done;
    }
    if (strcmp(name, "rmsnorm") == 0) {
        kernels.vec.rmsnorm(out, a, b, padded, n, eps);
    } else if (strcmp(name, "layernorm") == 0) {
        kernels.vec.layernorm(out, a, b, b, padded, n, eps);
    } else if (strcmp(name, "softcap") == 0) {
        memcpy(out, a, padded * sizeof(float));
        kernels.vec.softcap(out, padded, eps);
    } else if (!activate(&kernels, name, out, a, b, padded)) {
        PyErr_Format(PyExc_ValueError, "unknown row operation '%s'", name);
        goto done;
    }
    npy_intp shape = (npy_intp)n;
    result = PyArray_SimpleNew(1, &shape, NPY_FLOAT32);
    if (result != NULL)
        memcpy(QB_DATA((PyArrayObject *)result), out, n * sizeof(float));
done:
    qb_free(block);
    Py_XDECREF((PyObject *)x);
    Py_XDECREF((PyObject *)y);
    return result;
}

static PyObject *sample(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *object;
    Py_ssize_t top_k;
    qb_sampling how;
    double temperature, top_p, u;
    if (!PyArg_ParseTuple(args, "Odndd:sample", &object, &temperature, &top_k, &top_p, &u) ||
        !qb_sampling_argument(temperature, top_k, top_p, &how))
        return NULL;
    if (!(u >= 0.0 && u < 1.0))
        return PyErr_Format(PyExc_ValueError, "u must be in [0, 1)");
    PyArrayObject *logits = qb_vector(object, NPY_FLOAT32, -1, "logits");
    if (logits == NULL)
        return NULL;
    const size_t n = QB_LENGTH(logits);
    void *candidates;
    if (n == 0 || qb_alloc(&candidates, n, sizeof(qb_candidate)) != QB_OK) {
        Py_DECREF((PyObject *)logits);
        return n == 0 ? PyErr_Format(PyExc_ValueError, "logits must not be empty")
                      : PyErr_NoMemory();
    }
    const int32_t id = qb_sample(QB_DATA(logits), n, how, u, candidates);
    qb_free(candidates);
    Py_DECREF((PyObject *)logits);
    return PyLong_FromLong(id);
}

static PyObject *uniform(PyObject *module, PyObject *args)
{
    (void)module;
    unsigned long long key;
    unsigned counter;
    if (!PyArg_ParseTuple(args, "KI:uniform", &key, &counter))
        return NULL;
    return PyFloat_FromDouble(qb_uniform(key, counter));
}

static PyObject *build_info(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
#if defined(__clang__)
    const char *compiler = "clang " __clang_version__;
#else
    const char *compiler = "gcc " __VERSION__;
#endif
    return Py_BuildValue("(sO)", compiler, qb_threads_available() ? Py_True : Py_False);
}

PyMethodDef qb_probe_methods[] = {
    {"formats", formats, METH_NOARGS, "Weight formats: (name, bits, kind)."},
    {"isa_tiers", isa_tiers, METH_NOARGS, "Tiers, ascending: (name, available here)."},
    {"default_isa", default_isa, METH_NOARGS, "The tier in use unless another is named."},
    {"matmul", matmul, METH_VARARGS, "Activations times packed weights, transposed."},
    {"round_nearest", qb_py_round_nearest, METH_VARARGS, "Codes, scales, zeros by rounding."},
    {"row_operation", row_operation, METH_VARARGS, "One row kernel on a chosen tier."},
    {"sample", sample, METH_VARARGS, "A token id drawn from logits."},
    {"uniform", uniform, METH_VARARGS, "The uniform draw of (key, counter)."},
    {"measure_peaks", qb_py_measure_peaks, METH_VARARGS,
     "Integer, float, bf16 and read peaks now."},
    {"time_products", qb_py_time_products, METH_VARARGS, "Seconds of a pass over tensors."},
    {"time_attention", qb_py_time_attention, METH_VARARGS, "Seconds of a layer's attention."},
    {"build_info", build_info, METH_NOARGS, "(compiler, built with OpenMP)."},
    {NULL, NULL, 0, NULL}};
