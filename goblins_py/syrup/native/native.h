/* What the files of the native codec share.

   The behaviour is that of ../_decode.py and ../_encode.py, which are the specification: errors, offsets and
   limits are the same, and tests/test_syrup_native.py compares them. Rare things call the Python helpers. */

#ifndef GOBLINS_NATIVE_H
#define GOBLINS_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    PyObject *symbol, *syrup; /* the name is the end of syrup, which is never changed */
    uint32_t hash, size;
} SymbolEntry;

enum { SHARED_SYMBOLS = 256 };

/* The limits of a decoder, as numbers; from `bound` on a number is for the slow way. */
typedef struct {
    long long depth, value_size, digits, items, bound;
} Bounds;

/* Of one import of the module, so that each sub-interpreter has its own. */
typedef struct {
    PyTypeObject *Decoder;
    PyTypeObject *Symbol, *Record, *Map, *Hamt; /* Hamt: the map of `immutables` inside a Map */
    /* Where the slots of these classes are in their objects. */
    Py_ssize_t symbol_name, symbol_syrup, symbol_hash, record_label, record_fields, map_items;
    PyObject *decode_error, *encode_error;
    PyObject *need_data, *default_limits, *nan, *empty_map, *no_bytes;
    PyObject *make_map, *make_set, *check_canonical, *integer;
    PyObject *str_items, *ten;
    SymbolEntry shared[SHARED_SYMBOLS]; /* those read last, by any decoder: a new one meets the same few names */
    Bounds defaults;
    uint64_t keys[2]; /* of the hash of symbols: secret, so that no peer can choose symbols that collide */
} State;

extern struct PyModuleDef goblins_native_module;
extern PyType_Spec goblins_decoder_spec;

/* Put arguments where their names say, of which the first `positional` may come without one; -1: TypeError. */
int read_arguments(const char *function, const char *const *known, Py_ssize_t positional, PyObject *const *args,
                   Py_ssize_t nargs, PyObject *names, PyObject **found);

#define SLOT(object, offset) (*(PyObject **)((char *)(object) + (offset)))

/* --- bytes that grow ---------------------------------------------------------- */

typedef struct {
    char *data;
    Py_ssize_t size, room;
} Bytes;

int bytes_add(Bytes *bytes, const char *data, Py_ssize_t size);
void bytes_free(Bytes *bytes);

/* --- symbols already seen (symbols.c) ------------------------------------------- */

typedef struct {
    SymbolEntry *entries;
    uint32_t room, count; /* room: 0 or a power of 2 */
} SymbolTable;

PyObject *symbol_get(SymbolTable *table, State *state, const char *name, Py_ssize_t size);
PyObject *symbols_dict(const SymbolTable *table);
void symbols_clear(SymbolTable *table);
int symbols_traverse(const SymbolTable *table, visitproc visit, void *arg);

/* --- decoding (decode.c) -------------------------------------------------------------- */

int read_bounds(PyObject *limits, Bounds *bounds);
PyObject *goblins_decode(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *names);

/* --- encoding (encode.c) ------------------------------------------------------------ */

PyObject *goblins_encode(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *names);
int put_number(char *end, unsigned long long number); /* writes backwards; returns how many digits */

#endif
