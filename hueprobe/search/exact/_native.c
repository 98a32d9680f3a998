/* Products of a block of queries with stored vectors, and the highest of them, in one pass.
 *
 * Up to 64 queries stand side by side, (channels, 64) float32. A stored vector's 64 sums stay in registers while
 * its values are read once: of a sparse vector the nonzero ones with their column numbers, of a dense one all,
 * six or twelve vectors at a time. The sums never go to memory as a whole: each is compared with the lowest that
 * can still matter to its query, and only what exceeds that is written down. A list that is full is cut back to
 * its highest entries, and the highest one cut off is from then on what the next must exceed. So every product
 * that was left out is at most `left`.
 *
 * The module knows nothing of Python objects but buffers: no NumPy, no torch. The interpreter's lock is released
 * while it computes. Threads are the caller's.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define X86 1
#include <immintrin.h>
#else
#define X86 0
#endif
#if defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline))
#define VECTOR(bytes) __attribute__((vector_size(bytes), aligned(bytes), may_alias))
#else
#error "vector extensions of GCC or Clang are needed"
#endif

#define VECTOR_ALIGNED __attribute__((aligned(64)))
#define WIDTH 64       /* queries side by side */
#define PART 512       /* nonzero values converted at a time */
#define CHANNELS 256   /* of dense rows at a time, so that a panel of queries stays in the nearest cache */
#define STRIDE (CHANNELS + 16) /* between rows, so that they do not fall on the same places of a cache */
#define GROUPS 8       /* of dense rows, by which a panel is multiplied */
#define MOST_ROWS 12   /* of a group */

typedef struct { float score; int32_t row; } Entry;
typedef struct { Entry *entries; int32_t n, capacity, keep; float left; } List;
typedef struct {
    const float *queries;                 /* (channels, WIDTH) */
    int n_queries;
    int64_t channels;
    const int64_t *pointers;              /* of sparse rows: where each begins, n_rows + 1 */
    const uint16_t *columns;
    const void *values;
    int half;                             /* values are float16, else float32 */
    const float *scales;                  /* of each row */
    const int32_t *images;                /* of each row; -1 is excluded by no query */
    const int32_t *excluded;              /* (n_queries, n_excluded) images; -1 pads */
    int64_t n_excluded, start, stop;
} Job;

/* Put the k highest entries first, in no order. */
static void select_highest(Entry *entries, int32_t n, int32_t k)
{
    int32_t low = 0, high = n - 1;
    while (low < high) {
        const float pivot = entries[low + (high - low) / 2].score;
        int32_t i = low, j = high;
        while (i <= j) {
            while (entries[i].score > pivot) i++;
            while (entries[j].score < pivot) j--;
            if (i <= j) {
                const Entry swapped = entries[i];
                entries[i++] = entries[j];
                entries[j--] = swapped;
            }
        }
        if (k - 1 <= j) high = j;
        else if (k - 1 >= i) low = i;
        else return;
    }
}

static void cut_back(List *list)
{
    if (list->n <= list->keep) return;
    select_highest(list->entries, list->n, list->keep);
    for (int32_t i = list->keep; i < list->n; i++)
        if (list->entries[i].score > list->left) list->left = list->entries[i].score;
    list->n = list->keep;
}

/* Write down what exceeds its query's bound, unless the query may not match its image. */
static void offer(const Job *job, List *lists, float *bounds, const float *sums, int64_t row)
{
    const int32_t image = job->images[row];
    for (int query = 0; query < job->n_queries; query++) {
        if (!(sums[query] > bounds[query])) continue;
        int barred = 0;
        for (int64_t m = 0; m < job->n_excluded; m++)
            barred |= image >= 0 && job->excluded[query * job->n_excluded + m] == image;
        if (barred) continue;
        List *list = &lists[query];
        list->entries[list->n].score = sums[query];
        list->entries[list->n++].row = (int32_t)row;
        if (list->n == list->capacity) {
            cut_back(list);
            bounds[query] = list->left;
        }
    }
}

INLINE float to_float(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16, rest = half & 0x7fff;
    float value;
    if (rest >= 0x400) {
        const uint32_t bits = sign | ((rest << 13) + (112u << 23));
        memcpy(&value, &bits, 4);
        return value;
    }
    value = (float)rest * 0x1p-24f; /* subnormal or zero */
    return sign ? -value : value;
}

INLINE void convert_plain(const uint16_t *from, float *to, int64_t n)
{
    for (int64_t i = 0; i < n; i++) to[i] = to_float(from[i]);
}

/* The kernels for one kind of processor: NAME, its target attribute, bytes of a vector register, dense rows at a
 * time, how float16 is converted. Both end with a row's sums in `sums`, of which some may matter. */
#define KERNELS(NAME, TARGET, BYTES, ROWS, CONVERT)                                                              \
    typedef float V_##NAME VECTOR(BYTES);                                                                        \
    enum { LANES_##NAME = BYTES / 4, MOST_##NAME = WIDTH / LANES_##NAME };                                       \
                                                                                                                 \
    TARGET INLINE void weigh_##NAME(const Job *job, List *lists, float *bounds, float *sums, int64_t row)        \
    {                                                                                                            \
        const float scale = job->scales[row];                                                                    \
        int any = 0;                                                                                             \
        for (int query = 0; query < WIDTH; query++) {                                                            \
            sums[query] *= scale;                                                                                \
            any |= sums[query] > bounds[query];                                                                  \
        }                                                                                                        \
        if (any) offer(job, lists, bounds, sums, row);                                                           \
    }                                                                                                            \
                                                                                                                 \
    TARGET INLINE void sparse_rows_##NAME(const Job *job, List *lists, float *bounds, const int n_vectors)       \
    {                                                                                                            \
        float converted[PART] VECTOR_ALIGNED, sums[WIDTH] VECTOR_ALIGNED;                                        \
        memset(sums, 0, sizeof sums);                                                                            \
        for (int64_t row = job->start; row < job->stop; row++) {                                                 \
            V_##NAME sum[MOST_##NAME];                                                                           \
            for (int v = 0; v < n_vectors; v++) sum[v] = (V_##NAME){0};                                          \
            const int64_t end = job->pointers[row + 1];                                                          \
            for (int64_t part = job->pointers[row]; part < end; part += PART) {                                  \
                const int64_t n = end - part < PART ? end - part : PART;                                         \
                const uint16_t *columns = job->columns + part;                                                   \
                const float *values = (const float *)job->values + part;                                         \
                if (job->half) {                                                                                 \
                    CONVERT((const uint16_t *)job->values + part, converted, n);                                 \
                    values = converted;                                                                          \
                }                                                                                                \
                for (int64_t i = 0; i < n; i++) {                                                                \
                    const V_##NAME *queries = (const V_##NAME *)(job->queries + (size_t)columns[i] * WIDTH);     \
                    const float value = values[i];                                                               \
                    for (int v = 0; v < n_vectors; v++) sum[v] += value * queries[v];                            \
                }                                                                                                \
            }                                                                                                    \
            for (int v = 0; v < n_vectors; v++) *(V_##NAME *)(sums + v * LANES_##NAME) = sum[v];                 \
            weigh_##NAME(job, lists, bounds, sums, row);                                                         \
        }                                                                                                        \
    }                                                                                                            \
                                                                                                                 \
    TARGET static void sparse_##NAME(const Job *job, List *lists, float *bounds, float *unused)                  \
    {                                                                                                            \
        (void)unused;                                                                                            \
        switch ((job->n_queries + LANES_##NAME - 1) / LANES_##NAME) {                                            \
        case 1: sparse_rows_##NAME(job, lists, bounds, 1); break;                                                \
        case 2: sparse_rows_##NAME(job, lists, bounds, MOST_##NAME < 2 ? MOST_##NAME : 2); break;                \
        case 3: sparse_rows_##NAME(job, lists, bounds, MOST_##NAME < 3 ? MOST_##NAME : 3); break;                \
        case 4: sparse_rows_##NAME(job, lists, bounds, MOST_##NAME < 4 ? MOST_##NAME : 4); break;                \
        case 5: sparse_rows_##NAME(job, lists, bounds, MOST_##NAME < 5 ? MOST_##NAME : 5); break;                \
        case 6: sparse_rows_##NAME(job, lists, bounds, MOST_##NAME < 6 ? MOST_##NAME : 6); break;                \
        case 7: sparse_rows_##NAME(job, lists, bounds, MOST_##NAME < 7 ? MOST_##NAME : 7); break;                \
        default: sparse_rows_##NAME(job, lists, bounds, MOST_##NAME);                                            \
        }                                                                                                        \
    }                                                                                                            \
                                                                                                                 \
    /* The products of some channels of ROWS rows with two vectors of queries, added to what is in `sums`. */    \
    TARGET INLINE void tile_##NAME(const float *queries, const float *values, int64_t stride, int64_t n,         \
                                   float *sums)                                                                  \
    {                                                                                                            \
        V_##NAME sum[ROWS][2];                                                                                   \
        for (int r = 0; r < ROWS; r++) {                                                                         \
            sum[r][0] = *(const V_##NAME *)(sums + r * WIDTH);                                                   \
            sum[r][1] = *(const V_##NAME *)(sums + r * WIDTH + LANES_##NAME);                                    \
        }                                                                                                        \
        for (int64_t c = 0; c < n; c++, queries += 2 * LANES_##NAME) {                                           \
            const V_##NAME one = *(const V_##NAME *)queries;                                                     \
            const V_##NAME two = *(const V_##NAME *)(queries + LANES_##NAME);                                    \
            for (int r = 0; r < ROWS; r++) {                                                                     \
                sum[r][0] += values[r * stride + c] * one;                                                       \
                sum[r][1] += values[r * stride + c] * two;                                                       \
            }                                                                                                    \
        }                                                                                                        \
        for (int r = 0; r < ROWS; r++) {                                                                         \
            *(V_##NAME *)(sums + r * WIDTH) = sum[r][0];                                                         \
            *(V_##NAME *)(sums + r * WIDTH + LANES_##NAME) = sum[r][1];                                          \
        }                                                                                                        \
    }                                                                                                            \
                                                                                                                 \
    TARGET static void dense_##NAME(const Job *job, List *lists, float *bounds, float *scratch)                  \
    {                                                                                                            \
        enum { PANEL = 2 * LANES_##NAME, PANELS = WIDTH / PANEL, TALL = ROWS * GROUPS };                         \
        float sums[TALL][WIDTH] VECTOR_ALIGNED;                                                                  \
        const int64_t channels = job->channels;                                                                  \
        const int used = (job->n_queries + PANEL - 1) / PANEL;                                                   \
        float *queries = scratch, *packed = scratch + channels * WIDTH;                                          \
        for (int p = 0; p < PANELS; p++)                                                                         \
            for (int64_t c = 0; c < channels; c++)                                                               \
                memcpy(queries + (p * channels + c) * PANEL, job->queries + c * WIDTH + p * PANEL, PANEL * 4);   \
        for (int64_t first = job->start; first < job->stop; first += TALL) {                                     \
            const int n_rows = job->stop - first < TALL ? (int)(job->stop - first) : TALL;                       \
            const int n_groups = (n_rows + ROWS - 1) / ROWS;                                                     \
            memset(sums, 0, sizeof sums);                                                                        \
            for (int64_t from = 0; from < channels; from += CHANNELS) {                                          \
                const int64_t n = channels - from < CHANNELS ? channels - from : CHANNELS;                       \
                for (int r = 0; r < n_groups * ROWS; r++) {                                                      \
                    const size_t at = (size_t)(first + (r < n_rows ? r : 0)) * channels + from;                  \
                    if (job->half) CONVERT((const uint16_t *)job->values + at, packed + r * STRIDE, n);        \
                    else memcpy(packed + r * STRIDE, (const float *)job->values + at, n * 4);                  \
                }                                                                                                \
                for (int p = 0; p < used; p++)                                                                   \
                    for (int g = 0; g < n_groups; g++)                                                           \
                        tile_##NAME(queries + (p * channels + from) * PANEL, packed + g * ROWS * STRIDE, STRIDE, n,\
                                    &sums[g * ROWS][p * PANEL]);                                                 \
            }                                                                                                    \
            for (int r = 0; r < n_rows; r++) weigh_##NAME(job, lists, bounds, sums[r], first + r);               \
        }                                                                                                        \
    }

KERNELS(plain, , 16, 4, convert_plain)
#if X86
#define AVX2 __attribute__((target("avx2,fma,f16c")))
#define AVX512 __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,f16c,prefer-vector-width=512")))
AVX2 INLINE void convert_f16c(const uint16_t *from, float *to, int64_t n)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) _mm256_storeu_ps(to + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(from + i))));
    for (; i < n; i++) to[i] = to_float(from[i]);
}
KERNELS(avx2, AVX2, 32, 6, convert_f16c)
KERNELS(avx512, AVX512, 64, 12, convert_f16c)
#endif

typedef void (*Kernel)(const Job *, List *, float *, float *);
typedef struct { const char *name; Kernel sparse, dense; } Level;
static const Level LEVELS[] = {
    {"plain", sparse_plain, dense_plain},
#if X86
    {"avx2", sparse_avx2, dense_avx2},
    {"avx512", sparse_avx512, dense_avx512},
#endif
};

static int best_level(void)
{
#if X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")
        && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("fma"))
        return 2;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 1;
#endif
    return 0;
}

/* Run a kernel over the rows [start, stop), starting from lists that earlier rows have left. -1: no memory. */
static int run(const Job *job, const Level *level, int32_t keep, float *scores, int32_t *rows, float *left)
{
    List lists[WIDTH];
    float bounds[WIDTH] VECTOR_ALIGNED;
    const int32_t capacity = 2 * keep + 64;
    Entry *entries = malloc(sizeof(Entry) * (size_t)capacity * (size_t)job->n_queries);
    float *packed = NULL;
    if (!job->pointers) packed = aligned_alloc(64, sizeof(float) * ((size_t)WIDTH * job->channels + (size_t)MOST_ROWS * GROUPS * STRIDE));
    if (!entries || (!job->pointers && !packed)) {
        free(entries);
        free(packed);
        return -1;
    }
    for (int query = 0; query < WIDTH; query++) bounds[query] = INFINITY;
    for (int query = 0; query < job->n_queries; query++) {
        List *list = &lists[query];
        *list = (List){entries + (size_t)query * capacity, 0, capacity, keep, left[query]};
        for (int32_t i = 0; i < keep && rows[query * keep + i] >= 0; i++, list->n++)
            list->entries[i] = (Entry){scores[query * keep + i], rows[query * keep + i]};
        bounds[query] = list->left;
    }
    (job->pointers ? level->sparse : level->dense)(job, lists, bounds, packed);
    for (int query = 0; query < job->n_queries; query++) {
        cut_back(&lists[query]);
        for (int32_t i = 0; i < keep; i++) {
            const int there = i < lists[query].n;
            scores[query * keep + i] = there ? lists[query].entries[i].score : -INFINITY;
            rows[query * keep + i] = there ? lists[query].entries[i].row : -1;
        }
        left[query] = lists[query].left;
    }
    free(entries);
    free(packed);
    return 0;
}

/* ---- Python's side: buffers in, checked by their lengths in bytes. ---- */

enum { QUERIES, POINTERS, COLUMNS, VALUES, SCALES, IMAGES, EXCLUDED, SCORES, ROWS_OUT, LEFT, N_BUFFERS };
static const char *const BUFFER_NAMES[N_BUFFERS] = {
    "queries", "pointers", "columns", "values", "scales", "images", "excluded", "scores", "rows", "left",
};

static int get_buffers(PyObject *const *objects, Py_buffer *views)
{
    for (int i = 0; i < N_BUFFERS; i++) {
        views[i].obj = NULL;
        views[i].buf = NULL;
        views[i].len = 0;
    }
    for (int i = 0; i < N_BUFFERS; i++) {
        if (objects[i] == Py_None && (i == POINTERS || i == COLUMNS)) continue;
        const int writable = i >= SCORES ? PyBUF_WRITABLE : 0;
        if (PyObject_GetBuffer(objects[i], &views[i], PyBUF_C_CONTIGUOUS | writable) < 0) return -1;
    }
    return 0;
}

static int require(int holds, const char *what)
{
    if (!holds) PyErr_Format(PyExc_ValueError, "%s do not fit the other arguments", what);
    return holds ? 0 : -1;
}

static int check_sizes(const Py_buffer *views, const Job *job, Py_ssize_t n_rows, int32_t keep)
{
    const Py_ssize_t item = job->half ? 2 : 4, n = job->n_queries;
    if (require(job->n_queries >= 1 && job->n_queries <= WIDTH, "numbers of queries") < 0) return -1;
    if (require(keep >= 1 && keep <= 1 << 28, "numbers of entries to keep") < 0) return -1;
    if (require(job->start >= 0 && job->start <= job->stop && job->stop <= n_rows, "rows") < 0) return -1;
    if (require(((uintptr_t)views[QUERIES].buf & 63) == 0, "queries that are not aligned to 64 bytes") < 0) return -1;
    Py_ssize_t expected[N_BUFFERS];
    for (int i = 0; i < N_BUFFERS; i++) expected[i] = views[i].len;
    expected[QUERIES] = job->channels * WIDTH * 4;
    expected[SCALES] = expected[IMAGES] = n_rows * 4;
    expected[EXCLUDED] = n * job->n_excluded * 4;
    expected[SCORES] = expected[ROWS_OUT] = n * keep * 4;
    expected[LEFT] = n * 4;
    if (views[POINTERS].buf) {
        expected[POINTERS] = (n_rows + 1) * 8;
        if (require(views[VALUES].len / item == views[COLUMNS].len / 2, "values") < 0) return -1;
    } else {
        expected[VALUES] = n_rows * job->channels * item;
    }
    for (int i = 0; i < N_BUFFERS; i++)
        if (require(views[i].len == expected[i], BUFFER_NAMES[i]) < 0) return -1;
    if (views[POINTERS].buf) {
        /* What lies between is the caller's to check, once (`check_rows`): here the ends alone. */
        const int64_t *pointers = views[POINTERS].buf;
        if (require(pointers[job->start] >= 0 && pointers[job->stop] <= views[COLUMNS].len / 2, "pointers") < 0)
            return -1;
    }
    return 0;
}

static PyObject *highest_products(PyObject *self, PyObject *args)
{
    PyObject *objects[N_BUFFERS];
    Py_buffer views[N_BUFFERS];
    Job job = {0};
    Py_ssize_t channels, start, stop, n_excluded;
    int keep, level;
    (void)self;
    if (!PyArg_ParseTuple(args, "OOOOOOOOOOinnnnipi", &objects[QUERIES], &objects[POINTERS], &objects[COLUMNS],
            &objects[VALUES], &objects[SCALES], &objects[IMAGES], &objects[EXCLUDED], &objects[SCORES],
            &objects[ROWS_OUT], &objects[LEFT], &job.n_queries, &channels, &n_excluded, &start, &stop, &keep,
            &job.half, &level))
        return NULL;
    PyObject *result = NULL;
    if (get_buffers(objects, views) < 0) goto done;
    job.queries = views[QUERIES].buf;
    job.channels = channels;
    job.pointers = views[POINTERS].buf;
    job.columns = views[COLUMNS].buf;
    job.values = views[VALUES].buf;
    job.scales = views[SCALES].buf;
    job.images = views[IMAGES].buf;
    job.excluded = views[EXCLUDED].buf;
    job.n_excluded = n_excluded;
    job.start = start;
    job.stop = stop;
    const Py_ssize_t n_rows = views[SCALES].len / 4;
    if (require(n_excluded >= 0 && channels >= 1 && channels <= 1 << 20, "numbers of channels or exclusions") < 0) goto done;
    if (require(level >= 0 && level <= best_level(), "levels that this processor has and others") < 0) goto done;
    if (check_sizes(views, &job, n_rows, keep) < 0) goto done;
    int failed;
    Py_BEGIN_ALLOW_THREADS
    failed = run(&job, &LEVELS[level], keep, views[SCORES].buf, views[ROWS_OUT].buf, views[LEFT].buf);
    Py_END_ALLOW_THREADS
    if (failed) PyErr_NoMemory();
    else result = Py_NewRef(Py_None);
done:
    for (int i = 0; i < N_BUFFERS; i++)
        if (views[i].obj) PyBuffer_Release(&views[i]);
    return result;
}

static PyObject *levels(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    PyObject *names = PyList_New(0);
    for (int i = 0; names && i <= best_level(); i++) {
        PyObject *name = PyUnicode_FromString(LEVELS[i].name);
        if (!name || PyList_Append(names, name) < 0) Py_CLEAR(names);
        Py_XDECREF(name);
    }
    return names;
}

static PyMethodDef methods[] = {
    {"highest_products", highest_products, METH_VARARGS,
     "Keep the highest products of up to 64 queries with rows [start, stop); see hueprobe.search.exact.native."},
    {"levels", levels, METH_NOARGS, "Return the names of the instruction sets there are here, the fastest last."},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_native", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__native(void)
{
    return PyModule_Create(&module);
}
