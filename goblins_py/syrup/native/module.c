/* goblins_py.syrup._native: `Decoder`, `decode` and `encode` in C. See native.h. */

#include "native.h"
#include <structmember.h>

int
read_arguments(const char *function, const char *const *known, Py_ssize_t positional, PyObject *const *args,
               Py_ssize_t nargs, PyObject *names, PyObject **found)
{
    if (nargs > positional) {
        PyErr_Format(PyExc_TypeError, "%s() takes %zd positional arguments but %zd were given", function, positional,
                     nargs);
        return -1;
    }
    for (Py_ssize_t index = 0; index < nargs; index++)
        found[index] = args[index];
    for (Py_ssize_t index = 0; names && index < PyTuple_GET_SIZE(names); index++) {
        PyObject *name = PyTuple_GET_ITEM(names, index);
        int which = 0;
        while (known[which] && PyUnicode_CompareWithASCIIString(name, known[which]))
            which++;
        if (known[which] == NULL || found[which] != NULL) {
            PyErr_Format(PyExc_TypeError, "%s() got an unexpected or double argument '%U'", function, name);
            return -1;
        }
        found[which] = args[nargs + index];
    }
    if (found[0] == NULL)
        PyErr_Format(PyExc_TypeError, "%s() missing 1 required positional argument: '%s'", function, known[0]);
    return found[0] ? 0 : -1;
}

static PyObject *
import_name(const char *module, const char *name)
{
    PyObject *imported = PyImport_ImportModule(module);
    PyObject *value = imported ? PyObject_GetAttrString(imported, name) : NULL;
    Py_XDECREF(imported);
    return value;
}

static int
import_class(const char *module, const char *name, PyTypeObject **type)
{
    PyObject *value = import_name(module, name);
    if (value != NULL && !PyType_Check(value)) {
        PyErr_Format(PyExc_ImportError, "%s.%s is no class", module, name);
        Py_CLEAR(value);
    }
    *type = (PyTypeObject *)value;
    return value ? 0 : -1;
}

/* Where a slot of a class is in its objects; ImportError if it is no slot, so that we do without native. */
static int
find_slot(PyTypeObject *type, const char *name, Py_ssize_t *offset)
{
    PyObject *found = PyObject_GetAttrString((PyObject *)type, name);
    if (found == NULL)
        return -1;
    int is_slot = Py_IS_TYPE(found, &PyMemberDescr_Type);
    if (is_slot) {
        PyMemberDef *member = ((PyMemberDescrObject *)found)->d_member;
        is_slot = member->type == T_OBJECT_EX;
        *offset = member->offset;
    }
    Py_DECREF(found);
    if (!is_slot)
        PyErr_Format(PyExc_ImportError, "%s.%s is no slot", type->tp_name, name);
    return is_slot ? 0 : -1;
}

static int
find_classes(State *state)
{
    if (import_class("goblins_py.syrup._values", "Symbol", &state->Symbol) < 0
        || import_class("goblins_py.syrup._values", "Record", &state->Record) < 0
        || import_class("goblins_py.syrup._frozen", "Map", &state->Map) < 0
        || import_class("immutables", "Map", &state->Hamt) < 0)
        return -1;
    if (find_slot(state->Symbol, "name", &state->symbol_name) < 0
        || find_slot(state->Symbol, "syrup", &state->symbol_syrup) < 0
        || find_slot(state->Symbol, "_hash", &state->symbol_hash) < 0
        || find_slot(state->Record, "label", &state->record_label) < 0
        || find_slot(state->Record, "fields", &state->record_fields) < 0
        || find_slot(state->Map, "_items", &state->map_items) < 0)
        return -1;
    return 0;
}

static int
find_helpers(State *state)
{
    struct {
        PyObject **place;
        const char *module, *name;
    } wanted[] = {
        {&state->decode_error, "goblins_py.errors", "SyrupDecodeError"},
        {&state->encode_error, "goblins_py.errors", "SyrupEncodeError"},
        {&state->need_data, "goblins_py.syrup._limits", "NEED_DATA"},
        {&state->default_limits, "goblins_py.syrup._limits", "DEFAULT_LIMITS"},
        {&state->nan, "goblins_py.syrup._decode", "_NAN"},
        {&state->empty_map, "goblins_py.syrup._collect", "_EMPTY"},
        {&state->make_map, "goblins_py.syrup._collect", "make_map"},
        {&state->make_set, "goblins_py.syrup._collect", "make_set"},
        {&state->check_canonical, "goblins_py.syrup._canonical", "check_canonical"},
        {&state->integer, "goblins_py.syrup._encode", "_integer"},
    };
    for (size_t index = 0; index < sizeof wanted / sizeof *wanted; index++)
        if ((*wanted[index].place = import_name(wanted[index].module, wanted[index].name)) == NULL)
            return -1;
    return 0;
}

/* From Python's own secret, so that PYTHONHASHSEED=0 makes this repeatable, too. */
static int
make_keys(State *state)
{
    static const char *const salts[2] = {"goblins_py.syrup one", "goblins_py.syrup two"};
    for (int index = 0; index < 2; index++) {
        PyObject *salt = PyUnicode_FromString(salts[index]);
        Py_hash_t hash = salt ? PyObject_Hash(salt) : -1;
        Py_XDECREF(salt);
        if (hash == -1)
            return -1;
        state->keys[index] = (uint64_t)hash | 1;
    }
    return 0;
}

static int
execute(PyObject *module)
{
    State *state = PyModule_GetState(module);
    if (find_classes(state) < 0 || find_helpers(state) < 0 || make_keys(state) < 0
        || read_bounds(state->default_limits, &state->defaults) < 0)
        return -1;
    if ((state->no_bytes = PyBytes_FromStringAndSize(NULL, 0)) == NULL
        || (state->str_items = PyUnicode_InternFromString("items")) == NULL
        || (state->ten = PyLong_FromLong(10)) == NULL)
        return -1;
    state->Decoder = (PyTypeObject *)PyType_FromModuleAndSpec(module, &goblins_decoder_spec, NULL);
    return state->Decoder ? PyModule_AddType(module, state->Decoder) : -1;
}

#define EACH_OBJECT(state, DO) \
    DO(state->Decoder) DO(state->Symbol) DO(state->Record) DO(state->Map) DO(state->Hamt) DO(state->decode_error) \
    DO(state->encode_error) DO(state->need_data) DO(state->default_limits) DO(state->nan) DO(state->empty_map) \
    DO(state->no_bytes) DO(state->make_map) DO(state->make_set) DO(state->check_canonical) \
    DO(state->integer) DO(state->str_items) DO(state->ten)

static int
traverse(PyObject *module, visitproc visit, void *arg)
{
    State *state = PyModule_GetState(module);
#define VISIT(object) Py_VISIT(object);
    EACH_OBJECT(state, VISIT)
    for (int index = 0; index < SHARED_SYMBOLS; index++)
        Py_VISIT(state->shared[index].symbol);
    return 0;
}

static int
clear(PyObject *module)
{
    State *state = PyModule_GetState(module);
#define CLEAR(object) Py_CLEAR(object);
    EACH_OBJECT(state, CLEAR)
    for (int index = 0; index < SHARED_SYMBOLS; index++) {
        Py_CLEAR(state->shared[index].symbol);
        Py_CLEAR(state->shared[index].syrup);
    }
    return 0;
}

static void
free_module(void *module)
{
    clear(module);
}

PyDoc_STRVAR(encode_doc, "encode($module, /, value, special=None, *, depth=128)\n--\n\n"
"The canonical Syrup of a value.\n\n"
"Args:\n"
"    value: a Syrup value; lists, dicts and sets are taken for what they freeze to.\n"
"    special: called for anything of another type, at any depth; what it returns is\n"
"        written in its place (through `special` again where needed), NotImplemented refuses it.\n"
"    depth: how many containers may be open at once; what a decoder with default limits reads.\n\n"
"Raises:\n"
"    SyrupEncodeError: something in it cannot be written.");

PyDoc_STRVAR(decode_doc, "decode($module, /, data, *, canonical=False, limits=Limits(), special=None)\n--\n\n"
"Read exactly one value; see `Decoder` for the arguments.\n\n"
"Raises:\n"
"    SyrupDecodeError: it is none, or not whole, or something follows it.");

static PyMethodDef functions[] = {
    {"decode", (PyCFunction)(void (*)(void))goblins_decode, METH_FASTCALL | METH_KEYWORDS, decode_doc},
    {"encode", (PyCFunction)(void (*)(void))goblins_encode, METH_FASTCALL | METH_KEYWORDS, encode_doc},
    {NULL, NULL, 0, NULL},
};

/* Py_mod_gil is not declared: lists and dicts that other threads may change are read by borrowed references, and a
   decoder has no lock. A free-threaded interpreter turns its GIL on when it imports us. */
static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, execute},
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
    {0, NULL},
};

struct PyModuleDef goblins_native_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "goblins_py.syrup._native",
    .m_doc = "The Syrup codec in C: the same as `_decode` and `_encode`, which say what it does.",
    .m_size = sizeof(State),
    .m_methods = functions,
    .m_slots = slots,
    .m_traverse = traverse,
    .m_clear = clear,
    .m_free = free_module,
};

PyMODINIT_FUNC
PyInit__native(void)
{
    return PyModuleDef_Init(&goblins_native_module);
}
