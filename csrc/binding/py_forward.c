/* One packed batch through a decoder, and what its scored rows are asked for. */
#include "binding/py_core.h"

enum { ARG_SEQUENCES, ARG_LENGTHS, ARG_TOKENS, ARG_ROWS, ARG_FIRST, ARG_TARGETS, ARG_COUNT };

/* What a forward is asked for beside the log-probabilities of the targets. */
typedef struct {
    int want_logits, n_threads;
    Py_ssize_t n_top;
    PyArrayObject *base; /* or NULL */
} forward_wishes;

enum { OUT_LOGPROBS, OUT_BEST, OUT_BAD, OUT_LOGITS, OUT_TOP, OUT_TOP_LOGPROBS, OUT_KL, OUT_COUNT };

/* The arrays of a result; what was not asked for is None. False: an exception is set. */
static bool make_outputs(PyObject **out, npy_intp n_rows, npy_intp n_targets, npy_intp n_vocab,
                         const forward_wishes *wishes)
{
    npy_intp logits[2] = {n_rows, n_vocab}, top[2] = {n_rows, wishes->n_top};
    const struct {
        bool wanted;
        int n_dims;
        npy_intp *shape;
        int type;
    } plan[OUT_COUNT] = {[OUT_LOGPROBS] = {true, 1, &n_targets, NPY_FLOAT64},
                         [OUT_BEST] = {true, 1, &n_rows, NPY_INT32},
                         [OUT_BAD] = {true, 1, &n_rows, NPY_INT32},
                         [OUT_LOGITS] = {wishes->want_logits, 2, logits, NPY_FLOAT32},
                         [OUT_TOP] = {wishes->n_top > 0, 2, top, NPY_INT32},
                         [OUT_TOP_LOGPROBS] = {wishes->n_top > 0, 2, top, NPY_FLOAT64},
                         [OUT_KL] = {wishes->base != NULL, 1, &n_rows, NPY_FLOAT64}};
    for (int i = 0; i < OUT_COUNT; i++) {
        out[i] = plan[i].wanted ? PyArray_SimpleNew(plan[i].n_dims, plan[i].shape, plan[i].type)
                                : Py_NewRef(Py_None);
        if (out[i] == NULL)
            return false;
    }
    return true;
}

static void *data_of(PyObject *output)
{
    return output == Py_None ? NULL : QB_DATA((PyArrayObject *)output);
}

static PyObject *run_forward(qb_py_decoder *self, qb_py_cache *cache, PyArrayObject **in,
                             const forward_wishes *wishes)
{
    qb_module_state *state = qb_state_of_type(Py_TYPE((PyObject *)self));
    const size_t n_vocab = qb_decoder_get_spec(self->decoder)->n_vocab;
    const npy_intp n_rows = PyArray_DIM(in[ARG_ROWS], 0),
                   n_targets = PyArray_DIM(in[ARG_TARGETS], 0);
    const size_t n_runs = QB_LENGTH(in[ARG_SEQUENCES]);
    const int32_t *first = QB_DATA(in[ARG_FIRST]);
    if (first[0] != 0 || first[n_rows] != n_targets)
        return PyErr_Format(PyExc_ValueError,
                            "first_target must run from 0 to the number of targets");
    if (wishes->base != NULL && (PyArray_DIM(wishes->base, 0) != n_rows ||
                                 PyArray_DIM(wishes->base, 1) != (npy_intp)n_vocab))
        return PyErr_Format(PyExc_ValueError, "base must have shape (%zd, %zu)", (Py_ssize_t)n_rows,
                            n_vocab);
    PyObject *out[OUT_COUNT] = {NULL}, *result = NULL;
    qb_status status = QB_ERR_NOMEM;
    qb_batch_run *runs = PyMem_Calloc(n_runs + 1, sizeof *runs);
    if (!make_outputs(out, n_rows, n_targets, (npy_intp)n_vocab, wishes) || runs == NULL)
        goto done;
    for (size_t i = 0; i < n_runs; i++)
        runs[i] = (qb_batch_run){(uint32_t)((int32_t *)QB_DATA(in[ARG_SEQUENCES]))[i],
                                 (size_t)((int32_t *)QB_DATA(in[ARG_LENGTHS]))[i]};
    const qb_batch batch = {.runs = runs,
                            .n_runs = n_runs,
                            .tokens = QB_DATA(in[ARG_TOKENS]),
                            .n_tokens = QB_LENGTH(in[ARG_TOKENS]),
                            .rows = QB_DATA(in[ARG_ROWS]),
                            .scored = {.n_rows = (size_t)n_rows,
                                       .first_target = first,
                                       .targets = QB_DATA(in[ARG_TARGETS]),
                                       .logprobs = data_of(out[OUT_LOGPROBS]),
                                       .best = data_of(out[OUT_BEST]),
                                       .logits = data_of(out[OUT_LOGITS]),
                                       .n_top = (size_t)wishes->n_top,
                                       .top = data_of(out[OUT_TOP]),
                                       .top_logprobs = data_of(out[OUT_TOP_LOGPROBS]),
                                       .base = wishes->base == NULL ? NULL : QB_DATA(wishes->base),
                                       .divergence = data_of(out[OUT_KL])},
                            .bad_layer = data_of(out[OUT_BAD])};
    if (!qb_acquire(self, cache)) {
        status = QB_ERR_BUSY;
        goto done;
    }
    qb_signal_poll poll;
    qb_signals_begin(&poll);
    status = qb_decoder_forward(self->decoder, cache->cache, &batch, (unsigned)wishes->n_threads,
                                qb_poll_signals, &poll);
    qb_signals_end(&poll);
    qb_hand_back(self, cache);
    if (status == QB_OK)
        result = PyTuple_Pack(OUT_COUNT, out[0], out[1], out[2], out[3], out[4], out[5], out[6]);
done:
    PyMem_Free(runs);
    for (int i = 0; i < OUT_COUNT; i++)
        Py_XDECREF(out[i]);
    if (result != NULL || PyErr_Occurred())
        return result;
    return qb_raise(state, status, "forward");
}

PyObject *qb_py_forward(PyObject *object, PyObject *args)
{
    static const char *const names[ARG_COUNT] = {"sequences", "lengths",      "tokens",
                                                 "rows",      "first_target", "targets"};
    PyObject *cache, *given[ARG_COUNT], *base = Py_None, *result = NULL;
    forward_wishes wishes = {0};
    qb_module_state *state = qb_state_of_type(Py_TYPE(object));
    if (!PyArg_ParseTuple(args, "O!OOOOOOpi|nO:forward", state->cache_type, &cache, &given[0],
                          &given[1], &given[2], &given[3], &given[4], &given[5],
                          &wishes.want_logits, &wishes.n_threads, &wishes.n_top, &base) ||
        !qb_threads_argument(wishes.n_threads))
        return NULL;
    if (wishes.n_top < 0 || wishes.n_top > QB_MAX_TOP)
        return PyErr_Format(PyExc_ValueError, "n_top must be 0 to %d, not %zd", QB_MAX_TOP,
                            wishes.n_top);
    PyArrayObject *in[ARG_COUNT] = {NULL};
    if (base != Py_None && (wishes.base = qb_array(base, NPY_FLOAT32, 2, "base")) == NULL)
        return NULL;
    for (int i = 0; i < ARG_COUNT; i++) {
        const npy_intp length = i == ARG_LENGTHS ? PyArray_DIM(in[ARG_SEQUENCES], 0)
                                : i == ARG_FIRST ? PyArray_DIM(in[ARG_ROWS], 0) + 1
                                                 : -1;
        in[i] = qb_vector(given[i], NPY_INT32, length, names[i]);
        if (in[i] == NULL)
            goto done;
    }
    result = run_forward((qb_py_decoder *)object, (qb_py_cache *)cache, in, &wishes);
done:
    Py_XDECREF((PyObject *)wishes.base);
    for (int i = 0; i < ARG_COUNT; i++)
        Py_XDECREF((PyObject *)in[i]);
    return result;
}
