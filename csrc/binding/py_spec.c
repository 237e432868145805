/* A decoder's spec and weights from Python: dictionaries by the names of weights.h. */
#include "binding/py_spec.h"

#include <string.h>

typedef enum { FIELD_SIZE, FIELD_FLOAT, FIELD_DOUBLE, FIELD_BOOL } field_kind;

typedef struct {
    const char *name;
    field_kind kind;
    size_t offset;
} field;

#define FIELD(name, kind) {#name, kind, offsetof(qb_decoder_spec, name)}

/* Every key must be there; norm, activation and mode are read by name. */
static const field fields[] = {
    FIELD(n_heads, FIELD_SIZE),
    FIELD(n_kv_heads, FIELD_SIZE),
    FIELD(dim, FIELD_SIZE),
    FIELD(value_dim, FIELD_SIZE),
    FIELD(context, FIELD_SIZE),
    FIELD(norm_eps, FIELD_FLOAT),
    FIELD(norm_each_head, FIELD_BOOL),
    FIELD(parallel, FIELD_BOOL),
    FIELD(rotary_begin, FIELD_SIZE),
    FIELD(rotary_dim, FIELD_SIZE),
    FIELD(interleaved, FIELD_BOOL),
    FIELD(position_offset, FIELD_SIZE),
    FIELD(score_scale, FIELD_DOUBLE),
    FIELD(score_cap, FIELD_FLOAT),
    FIELD(logit_cap, FIELD_FLOAT),
    FIELD(slope_scale, FIELD_FLOAT),
    FIELD(slopes_in_bf16, FIELD_BOOL),
    FIELD(logit_scale, FIELD_FLOAT),
    FIELD(embedding_scale, FIELD_FLOAT),
    FIELD(residual_scale, FIELD_FLOAT),
    FIELD(clip, FIELD_FLOAT),
    FIELD(log_scaled_from, FIELD_SIZE),
    FIELD(latent, FIELD_SIZE),
    FIELD(n_active_experts, FIELD_SIZE),
    FIELD(n_expert_groups, FIELD_SIZE),
    FIELD(n_active_groups, FIELD_SIZE),
    FIELD(normalize_experts, FIELD_BOOL),
    FIELD(expert_scale, FIELD_FLOAT),
};

/* The value of a key that must be there; borrowed. */
static PyObject *required(PyObject *dict, const char *key)
{
    PyObject *value = PyDict_GetItemString(dict, key);
    if (value == NULL && !PyErr_Occurred())
        PyErr_Format(PyExc_KeyError, "the spec of a decoder has no '%s'", key);
    return value;
}

static bool read_field(qb_decoder_spec *spec, const field *f, PyObject *dict)
{
    char *at = (char *)spec + f->offset;
    PyObject *value = required(dict, f->name);
    if (value == NULL)
        return false;
    if (f->kind == FIELD_BOOL) {
        const int truth = PyObject_IsTrue(value);
        *(bool *)(void *)at = truth > 0;
        return truth >= 0;
    }
    if (f->kind == FIELD_SIZE) {
        const Py_ssize_t n = PyNumber_AsSsize_t(value, PyExc_ValueError);
        if (n < 0 && !PyErr_Occurred())
            PyErr_Format(PyExc_ValueError, "%s must not be negative", f->name);
        *(size_t *)(void *)at = n < 0 ? 0 : (size_t)n;
        return !PyErr_Occurred();
    }
    const double number = PyFloat_AsDouble(value);
    if (f->kind == FIELD_FLOAT)
        *(float *)(void *)at = (float)number;
    else
        *(double *)(void *)at = number;
    return !PyErr_Occurred();
}

/* The place of the text under `key` among names; -1: an exception is set. */
static int choose(PyObject *dict, const char *key, const char *const *names, int n)
{
    PyObject *value = required(dict, key);
    const char *text = value == NULL ? NULL : PyUnicode_AsUTF8(value);
    if (text == NULL)
        return -1;
    for (int i = 0; i < n; i++)
        if (strcmp(text, names[i]) == 0)
            return i;
    PyErr_Format(PyExc_ValueError, "%s must not be '%s'", key, text);
    return -1;
}

bool qb_read_spec(qb_decoder_spec *spec, PyObject *dict)
{
    static const char *const norms[] = {"rms", "layer"};
#define NAME_OF(NAME, name) #name,
    static const char *const activations[] = {QB_ACTIVATIONS(NAME_OF)};
#undef NAME_OF
    for (size_t i = 0; i < QB_ARRAY_LEN(fields); i++)
        if (!read_field(spec, &fields[i], dict))
            return false;
    const int norm = choose(dict, "norm", norms, QB_ARRAY_LEN(norms));
    const int activation =
        norm < 0 ? -1 : choose(dict, "activation", activations, QB_ACTIVATION_COUNT);
    spec->norm = (qb_norm)norm;
    spec->activation = (qb_activation)activation;
    return activation >= 0;
}

static const qb_weights *matrix_of(const qb_module_state *state, PyObject *object, const char *name)
{
    if (Py_TYPE(object) != state->tensor_type) {
        PyErr_Format(PyExc_TypeError, "%s must be a PackedTensor, not %s", name,
                     Py_TYPE(object)->tp_name);
        return NULL;
    }
    return &((qb_py_tensor *)object)->tensor->weights;
}

/* Matrices under their names, where they are there. */
static bool read_matrices(const qb_module_state *state, const qb_weights **out,
                          const char *const *names, size_t n, PyObject *dict)
{
    for (size_t i = 0; i < n; i++) {
        PyObject *item = PyDict_GetItemString(dict, names[i]);
        if (item != NULL && (out[i] = matrix_of(state, item, names[i])) == NULL)
            return false;
    }
    return true;
}

/* A float32 vector of that length; NULL with an exception if it is something else. The pointer lives as
 * long as the dictionary. */
static bool read_vector(const float **out, const char *name, size_t length, PyObject *dict)
{
    PyObject *item = PyDict_GetItemString(dict, name);
    if (item == NULL)
        return true;
    PyArrayObject *array = qb_vector(item, NPY_FLOAT32, (npy_intp)length, name);
    if (array == NULL)
        return false;
    *out = QB_DATA(array);
    Py_DECREF((PyObject *)array);
    return true;
}

#define NAME_OF(NAME, name) #name,
static const char *const layer_matrices[] = {QB_LAYER_MATRICES(NAME_OF)};
static const char *const layer_vectors[] = {QB_LAYER_VECTORS(NAME_OF)};
static const char *const model_matrices[] = {QB_MODEL_MATRICES(NAME_OF)};
static const char *const model_vectors[] = {QB_MODEL_VECTORS(NAME_OF)};
#undef NAME_OF

static bool is_known(const char *key)
{
    static const char *const others[] = {"window", "rotation", "experts"};
    const struct {
        const char *const *names;
        size_t n;
    } lists[] = {{layer_matrices, QB_ARRAY_LEN(layer_matrices)},
                 {layer_vectors, QB_ARRAY_LEN(layer_vectors)},
                 {others, QB_ARRAY_LEN(others)}};
    for (size_t i = 0; i < QB_ARRAY_LEN(lists); i++)
        for (size_t j = 0; j < lists[i].n; j++)
            if (strcmp(key, lists[i].names[j]) == 0)
                return true;
    return false;
}

static bool check_keys(PyObject *dict)
{
    PyObject *key, *value;
    for (Py_ssize_t at = 0; PyDict_Next(dict, &at, &key, &value);) {
        const char *text = PyUnicode_AsUTF8(key);
        if (text != NULL && !is_known(text))
            PyErr_Format(PyExc_ValueError, "a layer has no place for '%s'", text);
        if (PyErr_Occurred())
            return false;
    }
    return true;
}

/* A tuple of (gate or None, up, down); the caller frees the array. */
static bool read_experts(const qb_module_state *state, qb_layer *layer, PyObject *dict)
{
    PyObject *experts = PyDict_GetItemString(dict, "experts");
    if (experts == NULL)
        return true;
    if (!PyTuple_Check(experts) || PyTuple_Size(experts) < 1) {
        PyErr_SetString(PyExc_TypeError, "experts must be a tuple with one entry or more");
        return false;
    }
    layer->n_experts = (size_t)PyTuple_Size(experts);
    qb_expert *array = PyMem_Calloc(layer->n_experts, sizeof *array);
    layer->experts = array;
    if (array == NULL) {
        PyErr_NoMemory();
        return false;
    }
    for (size_t e = 0; e < layer->n_experts; e++) {
        PyObject *expert = PyTuple_GetItem(experts, (Py_ssize_t)e);
        if (!PyTuple_Check(expert) || PyTuple_Size(expert) != 3) {
            PyErr_SetString(PyExc_TypeError, "an expert must be a tuple (gate, up, down)");
            return false;
        }
        PyObject *gate = PyTuple_GetItem(expert, 0);
        if ((gate != Py_None &&
             (array[e].gate = matrix_of(state, gate, "gate of an expert")) == NULL) ||
            (array[e].up = matrix_of(state, PyTuple_GetItem(expert, 1), "up")) == NULL ||
            (array[e].down = matrix_of(state, PyTuple_GetItem(expert, 2), "down")) == NULL)
            return false;
    }
    return true;
}

static bool read_layer(const qb_module_state *state, const qb_decoder_spec *spec, qb_layer *out,
                       PyObject *dict)
{
    if (!PyDict_Check(dict)) {
        PyErr_SetString(PyExc_TypeError, "a layer must be a dictionary of weights");
        return false;
    }
    PyObject *window = PyDict_GetItemString(dict, "window");
    PyObject *rotation = PyDict_GetItemString(dict, "rotation");
    const Py_ssize_t n = window == NULL ? 0 : PyNumber_AsSsize_t(window, PyExc_ValueError);
    const long which = rotation == NULL ? QB_NO_ROTATION : PyLong_AsLong(rotation);
    if (PyErr_Occurred())
        return false;
    out->window = n < 0 ? 0 : (size_t)n;
    out->rotation = which < INT16_MIN || which > INT16_MAX ? INT16_MAX : (int)which;
    if (!check_keys(dict) ||
        !read_matrices(state, out->m, layer_matrices, QB_LAYER_MATRIX_COUNT, dict) ||
        !read_experts(state, out, dict))
        return false;
    for (int i = 0; i < QB_LAYER_VECTOR_COUNT; i++)
        if (!read_vector(&out->v[i], layer_vectors[i],
                         qb_layer_vector_length(spec, out, (qb_layer_vector)i), dict))
            return false;
    return true;
}

bool qb_read_weights(const qb_module_state *state, qb_decoder_spec *spec, qb_decoder_weights *out,
                     PyObject *model, PyObject *layers)
{
    if (!read_matrices(state, out->m, model_matrices, QB_MODEL_MATRIX_COUNT, model))
        return false;
    if (out->m[QB_M_EMBEDDING] == NULL) {
        PyErr_SetString(PyExc_ValueError, "a decoder needs an embedding");
        return false;
    }
    spec->n_vocab = out->m[QB_M_EMBEDDING]->n_rows;
    spec->hidden = out->m[QB_M_EMBEDDING]->n_cols;
    spec->n_layers = (size_t)PyTuple_Size(layers);
    for (int i = 0; i < QB_MODEL_VECTOR_COUNT; i++)
        if (!read_vector(&out->v[i], model_vectors[i],
                         qb_model_vector_length(spec, (qb_model_vector)i), model))
            return false;
    qb_layer *array = PyMem_Calloc(spec->n_layers + 1, sizeof *array);
    out->layers = array;
    if (array == NULL) {
        PyErr_NoMemory();
        return false;
    }
    for (size_t i = 0; i < spec->n_layers; i++)
        if (!read_layer(state, spec, &array[i], PyTuple_GetItem(layers, (Py_ssize_t)i)))
            return false;
    return true;
}

void qb_free_weights(const qb_decoder_spec *spec, qb_decoder_weights *weights)
{
    if (weights->layers == NULL)
        return;
    for (size_t i = 0; i < spec->n_layers; i++)
        PyMem_Free((void *)weights->layers[i].experts);
    PyMem_Free((void *)weights->layers);
}

bool qb_read_rotations(qb_rotation *out, size_t n, size_t half, PyObject *tuple)
{
    for (size_t i = 0; i < n; i++) {
        PyObject *frequencies;
        if (!PyArg_ParseTuple(PyTuple_GetItem(tuple, (Py_ssize_t)i), "Of:rotation", &frequencies,
                              &out[i].factor))
            return false;
        PyArrayObject *array =
            qb_vector(frequencies, NPY_FLOAT32, (npy_intp)half, "inverse frequencies");
        if (array == NULL)
            return false;
        out[i].inverse_frequency = QB_DATA(array);
        Py_DECREF((PyObject *)array);
    }
    return true;
}
