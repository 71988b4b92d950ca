/* The lead of the best class over the second best, row by row, in one pass: NumPy needs four.
 *
 * Non-negative floats are ordered as their bits are. Counted modulo 2^k, bits minus the lead's bits are 0 for the
 * lead and huge for all below it, most so for the nearest: a second maximum finds the runner-up without a branch,
 * and both loops become vector instructions. labelwise works without this file where no compiler is there.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>
#include <stdint.h>
#include <string.h>

/* One copy for each kind of vector unit; the loader picks the one of this processor. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__GLIBC__)
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CLONES
#endif

#define KERNEL(NAME, UINT, FLOAT)                                                                  \
    CLONES UINT NAME(const UINT *x, FLOAT *out, Py_ssize_t rows, Py_ssize_t width)                 \
    {                                                                                              \
        UINT highest = 0;                                                                          \
        for (Py_ssize_t r = 0; r < rows; r++, x += width) {                                        \
            UINT lead = 0, nearest = 0, leaders = 0;                                               \
            for (Py_ssize_t c = 0; c < width; c++)                                                 \
                lead = x[c] > lead ? x[c] : lead;                                                  \
            for (Py_ssize_t c = 0; c < width; c++) {                                               \
                UINT gap = x[c] - lead;                                                            \
                nearest = gap > nearest ? gap : nearest;                                           \
                leaders += gap == 0;                                                               \
            }                                                                                      \
            UINT second = leaders > 1 ? lead : lead + nearest;                                     \
            FLOAT p1, p2;                                                                          \
            memcpy(&p1, &lead, sizeof p1);                                                         \
            memcpy(&p2, &second, sizeof p2);                                                       \
            out[r] = p2 - p1;                                                                      \
            highest = lead > highest ? lead : highest;                                             \
        }                                                                                          \
        return highest;                                                                            \
    }

KERNEL(margin32, uint32_t, float)
KERNEL(margin64, uint64_t, double)

static PyObject *smallest_margin(PyObject *self, PyObject *args)
{
    Py_buffer x, out;
    unsigned long long highest = 0;
    if (!PyArg_ParseTuple(args, "y*w*", &x, &out))
        return NULL;
    Py_ssize_t rows = out.itemsize ? out.len / out.itemsize : 0;
    int fits = x.itemsize == out.itemsize && (x.itemsize == 4 || x.itemsize == 8) &&
               (rows ? x.len % (rows * x.itemsize) == 0 : x.len == 0);
    if (fits && rows) {
        Py_ssize_t width = x.len / (rows * x.itemsize);
        Py_BEGIN_ALLOW_THREADS
        if (x.itemsize == 4)
            highest = margin32((const uint32_t *)x.buf, (float *)out.buf, rows, width);
        else
            highest = margin64((const uint64_t *)x.buf, (double *)out.buf, rows, width);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&x);
    PyBuffer_Release(&out);
    if (!fits) {
        PyErr_SetString(PyExc_ValueError, "bits and out must have the same item size and whole rows");
        return NULL;
    }
    return PyLong_FromUnsignedLongLong(highest);
}

static PyMethodDef methods[] = {
    {"smallest_margin", smallest_margin, METH_VARARGS,
     "smallest_margin(bits, out): fill out with second best minus best of every row; return the highest bits met."},
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_rows", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__rows(void)
{
    return PyModule_Create(&module);
}
