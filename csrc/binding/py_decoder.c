/* Decoder: a model over packed tensors. One call at a time; the GIL is free during a forward. */
#include "binding/py_core.h"

#include "model/generate.h"

static const qb_weights *weights_of(qb_module_state *state, PyObject *object, const char *name)
{
    if (Py_TYPE(object) != state->tensor_type) {
        PyErr_Format(PyExc_TypeError, "%s must be a PackedTensor, not %s", name,
                     Py_TYPE(object)->tp_name);
        return NULL;
    }
    return &((qb_py_tensor *)object)->tensor->weights;
}

/* A layer is (attn_norm, q, k, v, o, mlp_norm, gate, up, down); norms are float32 arrays. Borrowed
 * pointers stay valid as long as the tuple lives. */
static bool read_layer(qb_module_state *state, qb_layer *out, PyObject *tuple, size_t hidden)
{
    static const char *const names[] = {"attn_norm", "q",    "k",  "v",   "o",
                                        "mlp_norm",  "gate", "up", "down"};
    if (!PyTuple_Check(tuple) || PyTuple_Size(tuple) != 9) {
        PyErr_SetString(PyExc_TypeError, "a layer must be a tuple of nine weights");
        return false;
    }
    const qb_weights **slots[] = {NULL, &out->q,    &out->k,  &out->v,   &out->o,
                                  NULL, &out->gate, &out->up, &out->down};
    for (Py_ssize_t i = 0; i < 9; i++) {
        PyObject *item = PyTuple_GetItem(tuple, i);
        if (slots[i] != NULL) {
            if ((*slots[i] = weights_of(state, item, names[i])) == NULL)
                return false;
            continue;
        }
        PyArrayObject *norm = qb_vector(item, NPY_FLOAT32, (npy_intp)hidden, names[i]);
        if (norm == NULL)
            return false;
        *(i == 0 ? &out->attn_norm : &out->mlp_norm) = QB_DATA(norm);
        Py_DECREF((PyObject *)norm);
    }
    return true;
}

static qb_status create(qb_module_state *state, qb_decoder **out, qb_decoder_spec *spec,
                        qb_decoder_weights *weights, PyObject *layers, const qb_kernels *kernels)
{
    qb_layer *array = PyMem_Calloc(spec->n_layers, sizeof(qb_layer));
    qb_status status = array == NULL ? QB_ERR_NOMEM : QB_OK;
    for (size_t i = 0; i < spec->n_layers && status == QB_OK; i++)
        if (!read_layer(state, &array[i], PyTuple_GetItem(layers, (Py_ssize_t)i), spec->hidden))
            status = QB_ERR_INTERNAL; /* the exception is set */
    weights->layers = array;
    if (status == QB_OK)
        status = qb_decoder_create(out, spec, weights, kernels);
    PyMem_Free(array);
    return status;
}

/* A new object around a decoder over these weights; the spec lacks the inverse frequencies. */
static PyObject *build(PyTypeObject *type, qb_decoder_spec *spec, qb_decoder_weights *weights,
                       PyObject *inv_freq_object, PyObject *norm_object, PyObject *layers,
                       const qb_kernels *kernels)
{
    qb_module_state *state = qb_state_of_type(type);
    qb_decoder *decoder = NULL;
    qb_py_decoder *self = NULL;
    PyArrayObject *norm = NULL;
    PyArrayObject *inv_freq =
        qb_vector(inv_freq_object, NPY_FLOAT32, (npy_intp)(spec->dim / 2), "inv_freq");
    if (inv_freq == NULL)
        return NULL;
    norm = qb_vector(norm_object, NPY_FLOAT32, (npy_intp)spec->hidden, "final_norm");
    if (norm != NULL) {
        spec->inverse_frequency = QB_DATA(inv_freq);
        weights->final_norm = QB_DATA(norm);
        const qb_status status = create(state, &decoder, spec, weights, layers, kernels);
        if (status != QB_OK && !PyErr_Occurred())
            qb_raise(state, status, "Decoder");
    }
    if (decoder != NULL && (self = (qb_py_decoder *)type->tp_alloc(type, 0)) != NULL)
        self->decoder = decoder;
    else
        qb_decoder_free(decoder);
    Py_DECREF((PyObject *)inv_freq);
    Py_XDECREF((PyObject *)norm);
    return (PyObject *)self;
}

static PyObject *decoder_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"intermediate", "n_heads",  "n_kv_heads", "head_dim", "context",
                            "norm_eps",     "inv_freq", "embedding",  "head",     "final_norm",
                            "layers",       "mode",     "isa",        NULL};
    Py_ssize_t intermediate, n_heads, n_kv_heads, dim, context;
    float eps;
    PyObject *inv_freq, *embedding, *head, *final_norm, *layers;
    const char *mode_name, *isa_name = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "nnnnnfOOOOO!s|z:Decoder", names, &intermediate,
                                     &n_heads, &n_kv_heads, &dim, &context, &eps, &inv_freq,
                                     &embedding, &head, &final_norm, &PyTuple_Type, &layers,
                                     &mode_name, &isa_name))
        return NULL;
    qb_module_state *state = qb_state_of_type(type);
    if (intermediate < 1 || n_heads < 1 || n_kv_heads < 1 || dim < 2 || context < 1)
        return qb_raise(state, QB_ERR_RANGE, "Decoder");
    qb_decoder_spec spec = {.n_layers = (size_t)PyTuple_Size(layers),
                            .intermediate = (size_t)intermediate,
                            .n_heads = (size_t)n_heads,
                            .n_kv_heads = (size_t)n_kv_heads,
                            .dim = (size_t)dim,
                            .context = (size_t)context,
                            .norm_eps = eps};
    qb_decoder_weights weights = {.embedding = weights_of(state, embedding, "embedding"),
                                  .head = weights_of(state, head, "head")};
    qb_kernels kernels;
    if (weights.embedding == NULL || weights.head == NULL ||
        !qb_mode_argument(mode_name, &spec.mode) || !qb_kernels_argument(state, isa_name, &kernels))
        return NULL;
    spec.n_vocab = weights.embedding->n_rows;
    spec.hidden = weights.embedding->n_cols;
    PyObject *self = build(type, &spec, &weights, inv_freq, final_norm, layers, &kernels);
    if (self != NULL && (((qb_py_decoder *)self)->weights =
                             Py_BuildValue("(OOO)", embedding, head, layers)) == NULL)
        Py_CLEAR(self);
    return self;
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
