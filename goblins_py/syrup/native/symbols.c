/* The symbols that a decoder has seen, by the bytes of their names.

   Bounded, because the peer fills it; hashed with a secret, because the peer chooses what is in it. */

#include "native.h"

enum { LONGEST = 64, MOST = 1024, FIRST_ROOM = 32 };

static inline uint64_t
fold(uint64_t left, uint64_t right)
{
#ifdef __SIZEOF_INT128__
    __uint128_t product = (__uint128_t)left * right;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
#else
    uint64_t a = left >> 32, b = (uint32_t)left, c = right >> 32, d = (uint32_t)right;
    uint64_t middle = (b * d >> 32) + (uint32_t)(a * d) + (uint32_t)(b * c);
    uint64_t high = a * c + (a * d >> 32) + (b * c >> 32) + (middle >> 32);
    return left * right ^ high;
#endif
}

static inline uint32_t
hash_of(const State *state, const char *name, Py_ssize_t size)
{
    uint64_t hash = state->keys[0] ^ (uint64_t)size, word;
    for (; size >= 8; size -= 8, name += 8) {
        memcpy(&word, name, 8);
        hash = fold(hash ^ word, state->keys[1]);
    }
    word = 0;
    memcpy(&word, name, (size_t)size);
    return (uint32_t)fold(hash ^ word, state->keys[1]);
}

static inline const char *
name_of(const SymbolEntry *entry)
{
    return PyBytes_AS_STRING(entry->syrup) + PyBytes_GET_SIZE(entry->syrup) - entry->size;
}

static inline int
is_of(const SymbolEntry *entry, uint32_t hash, const char *name, Py_ssize_t size)
{
    return entry->hash == hash && entry->size == (uint32_t)size && !memcmp(name_of(entry), name, (size_t)size);
}

/* The entry of a name, or the free one where it belongs. There is always a free one. */
static inline SymbolEntry *
find(const SymbolTable *table, uint32_t hash, const char *name, Py_ssize_t size)
{
    uint32_t mask = table->room - 1;
    for (uint32_t index = hash & mask;; index = (index + 1) & mask) {
        SymbolEntry *entry = &table->entries[index];
        if (entry->symbol == NULL)
            return entry;
        if (is_of(entry, hash, name, size))
            return entry;
    }
}

static int
grow(SymbolTable *table)
{
    SymbolTable bigger = {NULL, table->room ? table->room * 2 : FIRST_ROOM, table->count};
    bigger.entries = PyMem_Calloc(bigger.room, sizeof(SymbolEntry));
    if (bigger.entries == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (uint32_t index = 0; index < table->room; index++) {
        SymbolEntry *entry = &table->entries[index];
        if (entry->symbol != NULL)
            *find(&bigger, entry->hash, name_of(entry), entry->size) = *entry;
    }
    PyMem_Free(table->entries);
    *table = bigger;
    return 0;
}

/* A new Symbol, as its constructor makes it; UnicodeDecodeError if the name is no UTF-8. */
static PyObject *
make_symbol(State *state, const char *name, Py_ssize_t size)
{
    PyObject *text = NULL, *syrup = NULL, *pair = NULL, *hash = NULL, *symbol = NULL;
    char prefix[24];
    int digits = put_number(prefix + sizeof prefix, (unsigned long long)size);
    if ((text = PyUnicode_DecodeUTF8(name, size, NULL)) == NULL)
        goto done;
    if ((syrup = PyBytes_FromStringAndSize(NULL, digits + 1 + size)) == NULL)
        goto done;
    char *out = PyBytes_AS_STRING(syrup);
    memcpy(out, prefix + sizeof prefix - digits, (size_t)digits);
    out[digits] = '\'';
    memcpy(out + digits + 1, name, (size_t)size);
    if ((pair = PyTuple_Pack(2, state->Symbol, text)) == NULL)
        goto done;
    Py_hash_t code = PyObject_Hash(pair);
    if (code == -1 || (hash = PyLong_FromSsize_t(code)) == NULL)
        goto done;
    if ((symbol = state->Symbol->tp_alloc(state->Symbol, 0)) == NULL)
        goto done;
    SLOT(symbol, state->symbol_name) = Py_NewRef(text);
    SLOT(symbol, state->symbol_syrup) = Py_NewRef(syrup);
    SLOT(symbol, state->symbol_hash) = Py_NewRef(hash);
    PyObject_GC_UnTrack(symbol); /* it holds nothing that could hold it */
done:
    Py_XDECREF(text);
    Py_XDECREF(syrup);
    Py_XDECREF(pair);
    Py_XDECREF(hash);
    return symbol;
}

static SymbolEntry
entry_of(const State *state, PyObject *symbol, uint32_t hash, Py_ssize_t size)
{
    PyObject *syrup = SLOT(symbol, state->symbol_syrup);
    return (SymbolEntry){Py_NewRef(symbol), Py_NewRef(syrup), hash, (uint32_t)size};
}

/* A short symbol, new unless it is one of those read last. Each name has one place, where it drives out another: so a
   peer may make others slow, but not fill memory. */
static PyObject *
shared_symbol(State *state, uint32_t hash, const char *name, Py_ssize_t size)
{
    SymbolEntry *entry = &state->shared[hash % SHARED_SYMBOLS];
    if (entry->symbol != NULL && is_of(entry, hash, name, size))
        return Py_NewRef(entry->symbol);
    PyObject *symbol = make_symbol(state, name, size);
    if (symbol != NULL) {
        SymbolEntry old = *entry;
        *entry = entry_of(state, symbol, hash, size);
        Py_XDECREF(old.symbol);
        Py_XDECREF(old.syrup);
    }
    return symbol;
}

PyObject *
symbol_get(SymbolTable *table, State *state, const char *name, Py_ssize_t size)
{
    if (size > LONGEST)
        return make_symbol(state, name, size);
    uint32_t hash = hash_of(state, name, size);
    if (table != NULL && table->room) {
        SymbolEntry *entry = find(table, hash, name, size);
        if (entry->symbol != NULL)
            return Py_NewRef(entry->symbol);
    }
    PyObject *symbol = shared_symbol(state, hash, name, size);
    if (symbol == NULL || table == NULL || table->count >= MOST)
        return symbol;
    if (table->count * 2 >= table->room && grow(table) < 0) {
        Py_DECREF(symbol);
        return NULL;
    }
    *find(table, hash, name, size) = entry_of(state, symbol, hash, size);
    table->count++;
    return symbol;
}

PyObject *
symbols_dict(const SymbolTable *table)
{
    PyObject *dict = PyDict_New();
    for (uint32_t index = 0; dict != NULL && index < table->room; index++) {
        SymbolEntry *entry = &table->entries[index];
        if (entry->symbol == NULL)
            continue;
        PyObject *name = PyBytes_FromStringAndSize(name_of(entry), entry->size);
        if (name == NULL || PyDict_SetItem(dict, name, entry->symbol) < 0)
            Py_CLEAR(dict);
        Py_XDECREF(name);
    }
    return dict;
}

void
symbols_clear(SymbolTable *table)
{
    SymbolTable old = *table;
    memset(table, 0, sizeof *table);
    for (uint32_t index = 0; index < old.room; index++) {
        Py_XDECREF(old.entries[index].symbol);
        Py_XDECREF(old.entries[index].syrup);
    }
    PyMem_Free(old.entries);
}

int
symbols_traverse(const SymbolTable *table, visitproc visit, void *arg)
{
    for (uint32_t index = 0; index < table->room; index++)
        Py_VISIT(table->entries[index].symbol);
    return 0;
}
