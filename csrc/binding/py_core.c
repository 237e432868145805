/* The module: multi-phase initialisation, heap types, everything in the module's state. */
#define QB_IMPORT_ARRAY
#include "binding/py_core.h"

#include <stdlib.h>

qb_module_state *qb_state_of_module(PyObject *module) { return PyModule_GetState(module); }

qb_module_state *qb_state_of_type(PyTypeObject *type) { return PyType_GetModuleState(type); }

static int add_type(PyObject *module, PyTypeObject **out, PyType_Spec *spec)
{
    *out = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    return *out == NULL ? -1 : PyModule_AddType(module, *out);
}

static int fetch_errors(qb_module_state *state)
{
    struct {
        PyObject **slot;
        const char *name;
    } wanted[] = {{&state->format_error, "FormatError"},
                  {&state->capacity_error, "CapacityError"},
                  {&state->busy_error, "BusyError"},
                  {&state->non_finite_error, "NonFiniteError"}};
    PyObject *errors = PyImport_ImportModule("qbench.errors");
    if (errors == NULL)
        return -1;
    for (size_t i = 0; i < QB_ARRAY_LEN(wanted); i++)
        if ((*wanted[i].slot = PyObject_GetAttrString(errors, wanted[i].name)) == NULL)
            break;
    Py_DECREF(errors);
    return PyErr_Occurred() ? -1 : 0;
}

/* The best tier of the machine, or the one that QBENCH_ISA names. */
#define TIER_TEXT(name, bit, text) " " text
static int choose_isa(qb_module_state *state)
{
    state->isa_mask = qb_cpu_isa_mask();
    state->default_isa = qb_isa_best(state->isa_mask);
    const char *name = getenv("QBENCH_ISA");
    if (name == NULL || name[0] == '\0')
        return 0;
    if (qb_isa_argument(state, name, &state->default_isa) == QB_OK)
        return 0;
    PyErr_Format(PyExc_ImportError,
                 "QBENCH_ISA=%s: this machine offers up to '%s' (tiers:" QB_ISA_LIST(TIER_TEXT) ")",
                 name, qb_isa_name(qb_isa_best(state->isa_mask)));
    return -1;
}

static int exec_module(PyObject *module)
{
    qb_module_state *state = qb_state_of_module(module);
    import_array1(-1);
    if (fetch_errors(state) < 0 || choose_isa(state) < 0 ||
        add_type(module, &state->tensor_type, &qb_tensor_spec) < 0 ||
        add_type(module, &state->cache_type, &qb_cache_spec) < 0 ||
        add_type(module, &state->decoder_type, &qb_decoder_spec_) < 0)
        return -1;
    return 0;
}

static int traverse(PyObject *module, visitproc visit, void *arg)
{
    qb_module_state *state = qb_state_of_module(module);
    Py_VISIT(state->tensor_type);
    Py_VISIT(state->cache_type);
    Py_VISIT(state->decoder_type);
    Py_VISIT(state->format_error);
    Py_VISIT(state->capacity_error);
    Py_VISIT(state->busy_error);
    Py_VISIT(state->non_finite_error);
    return 0;
}

static int clear(PyObject *module)
{
    qb_module_state *state = qb_state_of_module(module);
    Py_CLEAR(state->tensor_type);
    Py_CLEAR(state->cache_type);
    Py_CLEAR(state->decoder_type);
    Py_CLEAR(state->format_error);
    Py_CLEAR(state->capacity_error);
    Py_CLEAR(state->busy_error);
    Py_CLEAR(state->non_finite_error);
    return 0;
}

static void free_module(void *module) { (void)clear(module); }

static PyModuleDef_Slot slots[] = {{Py_mod_exec, exec_module}, {0, NULL}};

struct PyModuleDef qb_module = {PyModuleDef_HEAD_INIT,
                                .m_name = "qbench._core",
                                .m_doc = "The C core of qbench; see qbench.core.",
                                .m_size = sizeof(qb_module_state),
                                .m_methods = qb_probe_methods,
                                .m_slots = slots,
                                .m_traverse = traverse,
                                .m_clear = clear,
                                .m_free = free_module};

PyMODINIT_FUNC PyInit__core(void) { return PyModuleDef_Init(&qb_module); }
