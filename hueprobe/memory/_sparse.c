/* Rows of 16-bit values without their zeros: packed, and unpacked in any order.
 *
 * A packed row of C values is a bitmap of C bits, in whole words of 16 bits (bit c % 16 of word c / 16), and then the
 * values whose bits are set. `hueprobe/memory/sparse_rows.py` has the format and the same in NumPy.
 *
 * Nothing that a packed row says is believed: a row whose bits and values do not fit its place is reported, and
 * nothing outside the buffers is read or written. Of Python's objects the module uses buffers only. It releases the
 * interpreter lock while it computes.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <stdint.h>
#include <string.h>

#if !defined(__GNUC__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the bit operations of GCC or Clang and a little-endian processor are needed"
#endif

#define BITS 16   /* of a word */
#define AHEAD 4   /* rows whose words are prefetched */
#define LINE 32   /* words of a cache line */

/* Pack n rows; starts[i] is the first word of row i, starts[n] the number of words. */
static void pack_rows(const uint16_t *rows, int64_t n, int64_t channels, uint16_t *words, int64_t *starts)
{
    const int64_t n_bitmap = (channels + BITS - 1) / BITS;
    int64_t at = 0;
    for (int64_t row = 0; row < n; row++) {
        const uint16_t *values = rows + row * channels;
        starts[row] = at;
        uint16_t *bitmap = words + at;
        at += n_bitmap;
        for (int64_t from = 0; from < channels; from += BITS) {
            const int64_t end = from + BITS < channels ? from + BITS : channels;
            uint32_t bits = 0;
            for (int64_t c = from; c < end; c++) bits |= (uint32_t)(values[c] != 0) << (c - from);
            bitmap[from / BITS] = (uint16_t)bits;
            for (; bits; bits &= bits - 1) words[at++] = values[from + __builtin_ctz(bits)];
        }
    }
    starts[n] = at;
}

/* Unpack one row from words [start, stop) of a file; return whether it is such as `pack_rows` writes. */
static int unpack_row(const uint16_t *words, int64_t n_words, int64_t start, int64_t stop, int64_t channels,
                      uint16_t *out)
{
    const int64_t n_bitmap = (channels + BITS - 1) / BITS;
    if (start < 0 || stop > n_words || stop < start || stop - start < n_bitmap) return 0;
    const uint16_t *value = words + start + n_bitmap, *const end = words + stop;
    memset(out, 0, sizeof(uint16_t) * channels);
    for (int64_t word = 0; word < n_bitmap; word += 4) {
        uint64_t bits = 0;
        memcpy(&bits, words + start + word, sizeof(uint16_t) * (n_bitmap - word < 4 ? n_bitmap - word : 4));
        if (__builtin_popcountll(bits) > end - value) return 0;
        const int64_t left = channels - word * BITS;
        if (left < 64 && bits >> left) return 0;
        for (uint16_t *to = out + word * BITS; bits; bits &= bits - 1) to[__builtin_ctzll(bits)] = *value++;
    }
    return value == end;
}

/* Unpack n rows; return the first that is not whole, or -1. */
static int64_t unpack_rows(const uint16_t *words, int64_t n_words, const int64_t *starts, const int64_t *stops,
                           int64_t n, int64_t channels, uint16_t *out)
{
    for (int64_t row = 0; row < n; row++) {
        if (row + AHEAD < n) {
            const int64_t next = starts[row + AHEAD], last = stops[row + AHEAD];
            if (next >= 0 && last <= n_words && last - next <= 2 * channels)
                for (int64_t word = next; word < last; word += LINE) __builtin_prefetch(words + word);
        }
        if (!unpack_row(words, n_words, starts[row], stops[row], channels, out + row * channels)) return row;
    }
    return -1;
}

/* ---- Python interface: takes buffers and checks their lengths in bytes. ---- */

static int get_buffers(PyObject *const *objects, Py_buffer *views, int n, int n_out)
{
    memset(views, 0, sizeof(Py_buffer) * n);
    for (int i = 0; i < n; i++) {
        const int flags = PyBUF_C_CONTIGUOUS | (i >= n - n_out ? PyBUF_WRITABLE : 0);
        if (PyObject_GetBuffer(objects[i], &views[i], flags) < 0) return -1;
    }
    return 0;
}

static void release_buffers(Py_buffer *views, int n)
{
    for (int i = 0; i < n; i++)
        if (views[i].obj) PyBuffer_Release(&views[i]);
}

static PyObject *pack(PyObject *self, PyObject *args)
{
    PyObject *objects[3], *result = NULL;
    Py_buffer views[3];
    Py_ssize_t channels;
    (void)self;
    if (!PyArg_ParseTuple(args, "OOOn", &objects[0], &objects[1], &objects[2], &channels)) return NULL;
    if (get_buffers(objects, views, 3, 2) < 0) goto done;
    const Py_ssize_t n = views[2].len / 8 - 1;
    if (n < 0 || channels < 1 || views[2].len % 8 || views[0].len != n * channels * 2
        || views[1].len != n * (channels + (channels + BITS - 1) / BITS) * 2) {
        PyErr_SetString(PyExc_ValueError, "rows, words and starts do not fit each other");
        goto done;
    }
    Py_BEGIN_ALLOW_THREADS
    pack_rows(views[0].buf, n, channels, views[1].buf, views[2].buf);
    Py_END_ALLOW_THREADS
    result = Py_NewRef(Py_None);
done:
    release_buffers(views, 3);
    return result;
}

static PyObject *unpack(PyObject *self, PyObject *args)
{
    PyObject *objects[4], *result = NULL;
    Py_buffer views[4];
    Py_ssize_t channels;
    int64_t broken;
    (void)self;
    if (!PyArg_ParseTuple(args, "OOOOn", &objects[0], &objects[1], &objects[2], &objects[3], &channels)) return NULL;
    if (get_buffers(objects, views, 4, 1) < 0) goto done;
    const Py_ssize_t n = views[1].len / 8;
    if (channels < 1 || views[0].len % 2 || views[1].len % 8 || views[2].len != views[1].len
        || views[3].len != n * channels * 2) {
        PyErr_SetString(PyExc_ValueError, "words, starts, stops and rows do not fit each other");
        goto done;
    }
    Py_BEGIN_ALLOW_THREADS
    broken = unpack_rows(views[0].buf, views[0].len / 2, views[1].buf, views[2].buf, n, channels, views[3].buf);
    Py_END_ALLOW_THREADS
    result = PyLong_FromLongLong(broken);
done:
    release_buffers(views, 4);
    return result;
}

static PyMethodDef methods[] = {
    {"pack", pack, METH_VARARGS, "Pack rows of 16-bit values; give the first word of each."},
    {"unpack", unpack, METH_VARARGS, "Unpack rows from their places; return the first that is not whole, or -1."},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_sparse", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__sparse(void)
{
    return PyModule_Create(&module);
}
