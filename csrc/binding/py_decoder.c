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

/* Takes decoder and cache for one call; false with BusyError if another has them. */
static bool acquire(qb_py_decoder *self, qb_py_cache *cache)
{
    if (self->busy || cache->busy) {
        qb_raise(qb_state_of_type(Py_TYPE((PyObject *)self)), QB_ERR_BUSY, "Decoder");
        return false;
    }
    self->busy = cache->busy = true;
    return true;
}

static void hand_back(qb_py_decoder *self, qb_py_cache *cache) { self->busy = cache->busy = false; }

enum { ARG_SEQUENCES, ARG_LENGTHS, ARG_TOKENS, ARG_ROWS, ARG_FIRST, ARG_TARGETS, ARG_COUNT };

static PyObject *run_forward(qb_py_decoder *self, qb_py_cache *cache, PyArrayObject **in,
                             bool want_logits, int n_threads)
{
    qb_module_state *state = qb_state_of_type(Py_TYPE((PyObject *)self));
    const size_t n_vocab = qb_decoder_get_spec(self->decoder)->n_vocab;
    npy_intp n_rows = PyArray_DIM(in[ARG_ROWS], 0), n_targets = PyArray_DIM(in[ARG_TARGETS], 0);
    npy_intp logits_shape[2] = {n_rows, (npy_intp)n_vocab};
    const size_t n_runs = QB_LENGTH(in[ARG_SEQUENCES]);
    const int32_t *first = QB_DATA(in[ARG_FIRST]);
    if (first[0] != 0 || first[n_rows] != n_targets)
        return PyErr_Format(PyExc_ValueError,
                            "first_target must run from 0 to the number of targets");
    PyObject *logprobs = PyArray_SimpleNew(1, &n_targets, NPY_FLOAT64);
    PyObject *best = PyArray_SimpleNew(1, &n_rows, NPY_INT32);
    PyObject *bad = PyArray_SimpleNew(1, &n_rows, NPY_INT32);
    PyObject *logits =
        want_logits ? PyArray_SimpleNew(2, logits_shape, NPY_FLOAT32) : Py_NewRef(Py_None);
    qb_batch_run *runs = PyMem_Calloc(n_runs + 1, sizeof *runs);
    qb_status status = QB_ERR_NOMEM;
    if (logprobs == NULL || best == NULL || bad == NULL || logits == NULL || runs == NULL)
        goto done;
    for (size_t i = 0; i < n_runs; i++)
        runs[i] = (qb_batch_run){(uint32_t)((int32_t *)QB_DATA(in[ARG_SEQUENCES]))[i],
                                 (size_t)((int32_t *)QB_DATA(in[ARG_LENGTHS]))[i]};
    const qb_batch batch = {
        .runs = runs,
        .n_runs = n_runs,
        .tokens = QB_DATA(in[ARG_TOKENS]),
        .n_tokens = QB_LENGTH(in[ARG_TOKENS]),
        .rows = QB_DATA(in[ARG_ROWS]),
        .scored = {.n_rows = (size_t)n_rows,
                   .first_target = first,
                   .targets = QB_DATA(in[ARG_TARGETS]),
                   .logprobs = QB_DATA((PyArrayObject *)logprobs),
                   .best = QB_DATA((PyArrayObject *)best),
                   .logits = want_logits ? QB_DATA((PyArrayObject *)logits) : NULL},
        .bad_layer = QB_DATA((PyArrayObject *)bad)};
    if (!acquire(self, cache)) {
        status = QB_ERR_BUSY;
        goto done;
    }
    qb_signal_poll poll;
    qb_signals_begin(&poll);
    status = qb_decoder_forward(self->decoder, cache->cache, &batch, (unsigned)n_threads,
                                qb_poll_signals, &poll);
    qb_signals_end(&poll);
    hand_back(self, cache);
done:
    PyMem_Free(runs);
    if (status == QB_OK)
        return Py_BuildValue("(NNNN)", logprobs, best, bad, logits);
    Py_XDECREF(logprobs);
    Py_XDECREF(best);
    Py_XDECREF(bad);
    Py_XDECREF(logits);
    return PyErr_Occurred() ? NULL : qb_raise(state, status, "forward");
}

static PyObject *forward(PyObject *object, PyObject *args)
{
    static const char *const names[ARG_COUNT] = {"sequences", "lengths",      "tokens",
                                                 "rows",      "first_target", "targets"};
    PyObject *cache, *given[ARG_COUNT], *result = NULL;
    int want_logits, n_threads;
    qb_module_state *state = qb_state_of_type(Py_TYPE(object));
    if (!PyArg_ParseTuple(args, "O!OOOOOOpi:forward", state->cache_type, &cache, &given[0],
                          &given[1], &given[2], &given[3], &given[4], &given[5], &want_logits,
                          &n_threads) ||
        !qb_threads_argument(n_threads))
        return NULL;
    PyArrayObject *in[ARG_COUNT] = {NULL};
    for (int i = 0; i < ARG_COUNT; i++) {
        const npy_intp length = i == ARG_LENGTHS ? PyArray_DIM(in[ARG_SEQUENCES], 0)
                                : i == ARG_FIRST ? PyArray_DIM(in[ARG_ROWS], 0) + 1
                                                 : -1;
        in[i] = qb_vector(given[i], NPY_INT32, length, names[i]);
        if (in[i] == NULL)
            goto done;
    }
    result = run_forward((qb_py_decoder *)object, (qb_py_cache *)cache, in, want_logits, n_threads);
done:
    for (int i = 0; i < ARG_COUNT; i++)
        Py_XDECREF((PyObject *)in[i]);
    return result;
}

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
    if (!acquire(self, cache)) {
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
    hand_back(self, cache);
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
    {"forward", forward, METH_VARARGS, "Run a packed batch and score rows."},
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
