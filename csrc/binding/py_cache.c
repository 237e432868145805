/* KVCache: pages of keys and values for many sequences. One call at a time. */
#include "binding/py_core.h"

#include <string.h>

bool qb_kv_format_argument(const qb_module_state *state, const char *name, qb_kv_format *out)
{
    *out = strcmp(name, "f32") == 0 ? QB_KV_F32 : QB_KV_BF16;
    if (strcmp(name, "f32") == 0 || strcmp(name, "bf16") == 0)
        return true;
    (void)PyErr_Format(state->format_error, "KV format must be 'f32' or 'bf16', not '%s'", name);
    return false;
}

static PyObject *cache_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"format",         "n_layers",  "n_kv_heads", "head_dim",
                            "capacity_pages", "value_dim", NULL};
    const char *format_name;
    Py_ssize_t n_layers, n_kv_heads, dim, capacity, value_dim = -1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "snnnn|n:KVCache", names, &format_name,
                                     &n_layers, &n_kv_heads, &dim, &capacity, &value_dim))
        return NULL;
    qb_module_state *state = qb_state_of_type(type);
    qb_kv_format format;
    if (!qb_kv_format_argument(state, format_name, &format))
        return NULL;
    if (n_layers < 1 || n_kv_heads < 1 || dim < 1 || capacity < 1 || value_dim < -1)
        return qb_raise(state, QB_ERR_RANGE, "KVCache");
    const qb_kv_sizes sizes = {(size_t)n_layers, (size_t)n_kv_heads, (size_t)dim,
                               (size_t)(value_dim < 0 ? dim : value_dim)};
    qb_kv_cache *cache;
    const qb_status status = qb_kv_cache_create(&cache, format, sizes, (size_t)capacity);
    if (status != QB_OK)
        return qb_raise(state, status, "KVCache");
    qb_py_cache *self = (qb_py_cache *)type->tp_alloc(type, 0);
    if (self == NULL) {
        qb_kv_cache_free(cache);
        return NULL;
    }
    self->cache = cache;
    return (PyObject *)self;
}

static void cache_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    qb_kv_cache_free(((qb_py_cache *)self)->cache);
    type->tp_free(self);
    Py_DECREF((PyObject *)type);
}

/* The cache, unless a forward is using it. */
static qb_kv_cache *idle_cache(PyObject *self)
{
    qb_py_cache *cache = (qb_py_cache *)self;
    if (!cache->busy)
        return cache->cache;
    qb_raise(qb_state_of_type(Py_TYPE(self)), QB_ERR_BUSY, "KVCache");
    return NULL;
}

static PyObject *finish(PyObject *self, qb_status status, const char *what)
{
    if (status != QB_OK)
        return qb_raise(qb_state_of_type(Py_TYPE(self)), status, what);
    Py_RETURN_NONE;
}

/* A converter for PyArg_Parse: what does not fit the core's type is out of range, not wrapped. */
static int sequence_number(PyObject *object, void *out)
{
    const Py_ssize_t value = PyNumber_AsSsize_t(object, PyExc_ValueError);
    if (value == -1 && PyErr_Occurred())
        return 0;
    if (value < 0 || value > UINT32_MAX) {
        PyErr_Format(PyExc_ValueError, "there is no sequence %zd", value);
        return 0;
    }
    *(uint32_t *)out = (uint32_t)value;
    return 1;
}

static PyObject *new_sequence(PyObject *self, PyObject *args)
{
    uint32_t id = 0, rotation = 0;
    if (!PyArg_ParseTuple(args, "|O&:new_sequence", sequence_number, &rotation))
        return NULL;
    qb_kv_cache *cache = idle_cache(self);
    if (cache == NULL)
        return NULL;
    const qb_status status = qb_kv_sequence_new(cache, &id, rotation);
    return status == QB_OK ? PyLong_FromUnsignedLong(id) : finish(self, status, "new_sequence");
}

static PyObject *fork_sequence(PyObject *self, PyObject *args)
{
    Py_ssize_t n_tokens;
    uint32_t parent, id = 0;
    if (!PyArg_ParseTuple(args, "O&n:fork", sequence_number, &parent, &n_tokens))
        return NULL;
    qb_kv_cache *cache = idle_cache(self);
    if (cache == NULL)
        return NULL;
    const qb_status status =
        n_tokens < 0 ? QB_ERR_RANGE : qb_kv_sequence_fork(cache, &id, parent, (size_t)n_tokens);
    return status == QB_OK ? PyLong_FromUnsignedLong(id) : finish(self, status, "fork");
}

static PyObject *truncate_sequence(PyObject *self, PyObject *args)
{
    uint32_t id;
    Py_ssize_t n_tokens;
    if (!PyArg_ParseTuple(args, "O&n:truncate", sequence_number, &id, &n_tokens))
        return NULL;
    qb_kv_cache *cache = idle_cache(self);
    if (cache == NULL)
        return NULL;
    return finish(
        self, n_tokens < 0 ? QB_ERR_RANGE : qb_kv_sequence_truncate(cache, id, (size_t)n_tokens),
        "truncate");
}

static PyObject *release(PyObject *self, PyObject *args)
{
    uint32_t id;
    if (!PyArg_ParseTuple(args, "O&:release", sequence_number, &id))
        return NULL;
    qb_kv_cache *cache = idle_cache(self);
    return cache == NULL ? NULL : finish(self, qb_kv_sequence_release(cache, id), "release");
}

static PyObject *length(PyObject *self, PyObject *args)
{
    uint32_t id;
    size_t n_tokens = 0;
    if (!PyArg_ParseTuple(args, "O&:length", sequence_number, &id))
        return NULL;
    qb_kv_cache *cache = idle_cache(self);
    if (cache == NULL)
        return NULL;
    const qb_status status = qb_kv_sequence_length(cache, id, &n_tokens);
    return status == QB_OK ? PyLong_FromSize_t(n_tokens) : finish(self, status, "length");
}

static PyObject *rotation_used(PyObject *self, PyObject *args)
{
    uint32_t rotation;
    if (!PyArg_ParseTuple(args, "O&:rotation_used", sequence_number, &rotation))
        return NULL;
    qb_kv_cache *cache = idle_cache(self);
    return cache == NULL ? NULL : PyBool_FromLong(qb_kv_rotation_used(cache, rotation));
}

static PyObject *get_pages_used(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromSize_t(qb_kv_pages_used(((qb_py_cache *)self)->cache));
}

static PyObject *get_page_bytes(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromSize_t(qb_kv_page_bytes(((qb_py_cache *)self)->cache));
}

static PyMethodDef methods[] = {
    {"new_sequence", new_sequence, METH_VARARGS,
     "An empty sequence's number; its keys are rotated by the set of the decoder with that "
     "number."},
    {"fork", fork_sequence, METH_VARARGS,
     "A sequence that begins with the first tokens of another."},
    {"truncate", truncate_sequence, METH_VARARGS, "Forget the tokens from a position on."},
    {"release", release, METH_VARARGS, "Give a sequence's pages back."},
    {"length", length, METH_VARARGS, "Tokens of a sequence."},
    {"rotation_used", rotation_used, METH_VARARGS, "Whether a sequence names that rotation."},
    {NULL, NULL, 0, NULL}};

static PyGetSetDef getset[] = {
    {"pages_used", get_pages_used, NULL, "Pages that some sequence holds.", NULL},
    {"page_bytes", get_page_bytes, NULL, "Bytes of one page (32 tokens, all layers).", NULL},
    {NULL, NULL, NULL, NULL, NULL}};

static PyType_Slot slots[] = {
    {Py_tp_new, cache_new},
    {Py_tp_dealloc, cache_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_getset, getset},
    {Py_tp_doc, "Keys and values of many sequences, in pages of 32 tokens."},
    {0, NULL}};

PyType_Spec qb_cache_spec = {.name = "qbench._core.KVCache",
                             .basicsize = sizeof(qb_py_cache),
                             .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
                             .slots = slots};
