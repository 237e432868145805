/* Decoder: a model over packed tensors. One call at a time; the GIL is free during a forward. */
#include "binding/py_spec.h"

#include "model/generate.h"

/* A new object around a decoder, or NULL with an exception. */
static PyObject *wrap(PyTypeObject *type, qb_decoder *decoder, PyObject *model, PyObject *layers)
{
    qb_py_decoder *self = (qb_py_decoder *)type->tp_alloc(type, 0);
    if (self == NULL) {
        qb_decoder_free(decoder);
        return NULL;
    }
    self->decoder = decoder;
    self->weights = PyTuple_Pack(2, model, layers);
    if (self->weights == NULL)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static PyObject *decoder_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"spec", "weights", "layers", "rotations", "mode", "isa", NULL};
    PyObject *dict, *model, *layers, *rotations;
    const char *mode_name, *isa_name = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!O!O!O!s|z:Decoder", names, &PyDict_Type,
                                     &dict, &PyDict_Type, &model, &PyTuple_Type, &layers,
                                     &PyTuple_Type, &rotations, &mode_name, &isa_name))
        return NULL;
    qb_module_state *state = qb_state_of_type(type);
    const size_t n_rotations = (size_t)PyTuple_Size(rotations);
    qb_rotation turned[QB_MAX_ROTATIONS];
    qb_decoder_spec spec = {0};
    qb_decoder_weights weights = {0};
    qb_decoder *decoder = NULL;
    qb_kernels kernels;
    if (n_rotations > QB_MAX_ROTATIONS)
        return qb_raise(state, QB_ERR_RANGE, "Decoder");
    if (!qb_mode_argument(mode_name, &spec.mode) || !qb_read_spec(&spec, dict) ||
        !qb_kernels_argument(state, isa_name, &kernels) ||
        !qb_read_rotations(turned, n_rotations, spec.rotary_dim / 2, rotations))
        return NULL;
    if (qb_read_weights(state, &spec, &weights, model, layers)) {
        const qb_status status =
            qb_decoder_create(&decoder, &spec, &weights, turned, n_rotations, &kernels);
        if (status != QB_OK)
            qb_raise(state, status, "Decoder");
    }
    qb_free_weights(&spec, &weights);
    return decoder == NULL ? NULL : wrap(type, decoder, model, layers);
}

static PyObject *set_rotations(PyObject *object, PyObject *args)
{
    qb_py_decoder *self = (qb_py_decoder *)object;
    qb_module_state *state = qb_state_of_type(Py_TYPE(object));
    const size_t n = qb_decoder_n_rotations(self->decoder);
    qb_rotation rotations[QB_MAX_ROTATIONS];
    Py_ssize_t set;
    PyObject *tuple;
    if (!PyArg_ParseTuple(args, "nO!:set_rotations", &set, &PyTuple_Type, &tuple))
        return NULL;
    if ((size_t)PyTuple_Size(tuple) != n || set < 0 || set > INT32_MAX)
        return PyErr_Format(PyExc_ValueError, "a set must have a number and %zu rotations", n);
    if (self->busy)
        return qb_raise(state, QB_ERR_BUSY, "Decoder");
    const size_t half = qb_decoder_get_spec(self->decoder)->rotary_dim / 2;
    if (!qb_read_rotations(rotations, n, half, tuple))
        return NULL;
    const qb_status status = qb_decoder_set_rotations(self->decoder, (uint32_t)set, rotations);
    if (status != QB_OK)
        return qb_raise(state, status, "Decoder");
    Py_RETURN_NONE;
}

static void decoder_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    qb_py_decoder *self = (qb_py_decoder *)object;
    qb_decoder_free(self->decoder);
    Py_XDECREF(self->weights);
    type->tp_free(object);
    Py_DECREF((PyObject *)type);
}

bool qb_acquire(qb_py_decoder *self, qb_py_cache *cache)
{
    if (self->busy || cache->busy) {
        qb_raise(qb_state_of_type(Py_TYPE((PyObject *)self)), QB_ERR_BUSY, "Decoder");
        return false;
    }
    self->busy = cache->busy = true;
    return true;
}

void qb_hand_back(qb_py_decoder *self, qb_py_cache *cache) { self->busy = cache->busy = false; }

enum { GEN_SEQUENCES, GEN_LAST, GEN_KEYS, GEN_STEPS, GEN_LEFT, GEN_END, GEN_COUNT };

static PyObject *run_generate(qb_py_decoder *self, qb_py_cache *cache, PyArrayObject **in,
                              Py_ssize_t n_steps, qb_sampling how, int n_threads)
{
    const size_t n = QB_LENGTH(in[GEN_SEQUENCES]);
    npy_intp shape[2] = {(npy_intp)n, n_steps};
    PyObject *tokens = PyArray_SimpleNew(2, shape, NPY_INT32);
    qb_request *requests = PyMem_Calloc(n + 1, sizeof *requests);
    qb_status status = QB_ERR_NOMEM;
    if (tokens == NULL || requests == NULL)
        goto done;
    for (size_t i = 0; i < n; i++)
        requests[i] = (qb_request){
            (uint32_t)((int32_t *)QB_DATA(in[GEN_SEQUENCES]))[i],
            ((int32_t *)QB_DATA(in[GEN_LAST]))[i], ((uint64_t *)QB_DATA(in[GEN_KEYS]))[i],
            ((uint32_t *)QB_DATA(in[GEN_STEPS]))[i], ((uint32_t *)QB_DATA(in[GEN_LEFT]))[i]};
    if (!qb_acquire(self, cache)) {
        status = QB_ERR_BUSY;
        goto done;
    }
    qb_signal_poll poll;
    qb_signals_begin(&poll);
    status =
        qb_generate(self->decoder, cache->cache, requests, n, (size_t)n_steps, how,
                    QB_DATA(in[GEN_END]), QB_LENGTH(in[GEN_END]), QB_DATA((PyArrayObject *)tokens),
                    (unsigned)n_threads, qb_poll_signals, &poll);
    qb_signals_end(&poll);
    qb_hand_back(self, cache);
done:
    PyMem_Free(requests);
    if (status == QB_OK)
        return tokens;
    Py_XDECREF(tokens);
    return PyErr_Occurred()
               ? NULL
               : qb_raise(qb_state_of_type(Py_TYPE((PyObject *)self)), status, "generate");
}

static PyObject *generate(PyObject *object, PyObject *args)
{
    static const char *const names[GEN_COUNT] = {"sequences", "last_tokens", "keys",
                                                 "steps",     "left",        "end_ids"};
    static const int types[GEN_COUNT] = {NPY_INT32,  NPY_INT32,  NPY_UINT64,
                                         NPY_UINT32, NPY_UINT32, NPY_INT32};
    PyObject *cache, *given[GEN_COUNT], *result = NULL;
    Py_ssize_t n_steps;
    double temperature, top_p;
    Py_ssize_t top_k;
    qb_sampling how;
    int n_threads;
    qb_module_state *state = qb_state_of_type(Py_TYPE(object));
    if (!PyArg_ParseTuple(args, "O!OOOOOOndndi:generate", state->cache_type, &cache, &given[0],
                          &given[1], &given[2], &given[3], &given[4], &given[5], &n_steps,
                          &temperature, &top_k, &top_p, &n_threads) ||
        !qb_threads_argument(n_threads) || !qb_sampling_argument(temperature, top_k, top_p, &how))
        return NULL;
    if (n_steps < 1 || n_steps > 4096)
        return PyErr_Format(PyExc_ValueError, "n_steps must be 1 to 4096, not %zd", n_steps);
    PyArrayObject *in[GEN_COUNT] = {NULL};
    for (int i = 0; i < GEN_COUNT; i++) {
        const npy_intp length =
            i == GEN_SEQUENCES || i == GEN_END ? -1 : PyArray_DIM(in[GEN_SEQUENCES], 0);
        in[i] = qb_vector(given[i], types[i], length, names[i]);
        if (in[i] == NULL)
            goto done;
    }
    result =
        run_generate((qb_py_decoder *)object, (qb_py_cache *)cache, in, n_steps, how, n_threads);
done:
    for (int i = 0; i < GEN_COUNT; i++)
        Py_XDECREF((PyObject *)in[i]);
    return result;
}

static PyMethodDef methods[] = {
    {"forward", qb_py_forward, METH_VARARGS, "Run a packed batch and score rows."},
    {"generate", generate, METH_VARARGS, "Several decoding steps of many requests."},
    {"set_rotations", set_rotations, METH_VARARGS,
     "Another set of rotary angles under a number by which sequences of a cache name it."},
    {NULL, NULL, 0, NULL}};

static PyType_Slot slots[] = {{Py_tp_new, decoder_new},
                              {Py_tp_dealloc, decoder_dealloc},
                              {Py_tp_methods, methods},
                              {Py_tp_doc, "A decoder-only transformer over packed weights."},
                              {0, NULL}};

PyType_Spec qb_decoder_spec_ = {.name = "qbench._core.Decoder",
                                .basicsize = sizeof(qb_py_decoder),
                                .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
                                .slots = slots};
