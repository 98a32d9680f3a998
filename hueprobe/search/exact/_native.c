/* Products of a block of queries with stored vectors, and selection of the highest, in one pass.
 *
 * Queries and vectors are 16-bit fixed-point numbers, so that sums of their products are exact in 32 bits. Up to 64
 * queries are processed side by side. The 64 sums of a stored vector stay in registers while its values are read
 * once. For a sparse vector these are the nonzero values in couples (columns and values of two). For dense vectors
 * all values are read, several vectors at once. The sums are never all written to memory: each is compared with the
 * lowest sum that can still matter to its query, and only higher sums are written. A full list is cut back to its
 * highest entries, and later sums must exceed the highest entry cut off. So every product that was left out is at
 * most `left`.
 *
 * Of Python's objects the module uses buffers only: no NumPy, no torch. It releases the interpreter lock while it
 * computes. Threads are created by the caller.
 */
#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#if !defined(__GNUC__)
#error "vector extensions of GCC or Clang are needed"
#endif
#if defined(__x86_64__)
#define X86 1
#include <immintrin.h>
#else
#define X86 0
#endif

#define INLINE static inline __attribute__((always_inline))
#define ALIGNED __attribute__((aligned(64)))
#define WIDTH 64                /* queries side by side */
#define ONE 32767               /* the code of 1 */
#define CHANNELS 128            /* of dense rows at once, so that queries and rows stay in the L1 cache */
#define STRIDE (CHANNELS + 32)  /* distance between rows, to avoid conflicts in the cache */
#define AHEAD 24                /* couples whose queries are prefetched */
#define MANY_ROWS 4096          /* number of rows from which a large page pays */
#define LARGE_PAGE ((size_t)2 << 20)
#define TALL 48                 /* dense rows at once */

typedef struct { int32_t score, row; } Entry;
typedef struct { Entry *entries; int32_t n, capacity, keep, left; } List;
typedef struct {
    int n_queries;
    int64_t channels;
    const int16_t *queries;     /* (n_queries, channels) */
    const int64_t *pointers;    /* start of each sparse row's couples, n_rows + 1; NULL for dense rows */
    const uint16_t *rows;       /* (n_couples, 4): columns and values of two; or values (n_rows, channels) */
    const int64_t *barred_from; /* start of each query's barred rows, n_queries + 1 */
    const int32_t *barred;      /* rows that a query may not match, ascending for each query */
    int64_t start, stop, first; /* rows [start, stop); number assigned to the first row */
} Job;

/* Move the k highest entries to the front, unordered. */
static void select_highest(Entry *entries, int32_t n, int32_t k)
{
    int32_t low = 0, high = n - 1;
    while (low < high) {
        const int32_t pivot = entries[low + (high - low) / 2].score;
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

static int is_barred(const Job *job, int query, int64_t row)
{
    int64_t low = job->barred_from[query], high = job->barred_from[query + 1];
    const int64_t end = high;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (job->barred[middle] < row) low = middle + 1;
        else high = middle;
    }
    return low < end && job->barred[low] == row;
}

/* Store the sums that exceed their query's bound: `those` has a bit for each such query. */
static void offer(const Job *job, List *lists, int32_t *bounds, const int32_t *sums, uint64_t those, int64_t row)
{
    for (; those; those &= those - 1) {
        const int query = __builtin_ctzll(those);
        if (is_barred(job, query, row)) continue;
        List *list = &lists[query];
        list->entries[list->n++] = (Entry){sums[query], (int32_t)(job->first + row)};
        if (list->n == list->capacity) {
            cut_back(list);
            bounds[query] = list->left;
        }
    }
}

/* ---- Portable kernels. ---- */

typedef int16_t H4 __attribute__((vector_size(8), may_alias));
typedef uint32_t I4 __attribute__((vector_size(16), may_alias)); /* unsigned: partial sums may overflow */
#define WIDE(vector) ((I4)__builtin_convertvector(vector, int32_t __attribute__((vector_size(16)))))

static void weigh_plain(const Job *job, List *lists, int32_t *bounds, const int32_t *sums, int64_t row)
{
    uint64_t those = 0;
    for (int query = 0; query < WIDTH; query++) those |= (uint64_t)(sums[query] > bounds[query]) << query;
    if (those) offer(job, lists, bounds, sums, those, row);
}

/* Queries as (channels, WIDTH), for sparse and dense rows. */
static void pack_plain(const Job *job, int16_t *panel)
{
    for (int query = 0; query < job->n_queries; query++)
        for (int64_t c = 0; c < job->channels; c++)
            panel[c * WIDTH + query] = job->queries[query * job->channels + c];
}

static void sparse_plain(const Job *job, List *lists, int32_t *bounds, int16_t *panel)
{
    int32_t sums[WIDTH] ALIGNED;
    for (int64_t row = job->start; row < job->stop; row++) {
        I4 sum[WIDTH / 4] = {{0}};
        for (int64_t i = job->pointers[row]; i < job->pointers[row + 1]; i++) {
            const uint16_t *couple = job->rows + 4 * i;
            const H4 *one = (const H4 *)(panel + (size_t)couple[0] * WIDTH);
            const H4 *two = (const H4 *)(panel + (size_t)couple[1] * WIDTH);
            const uint32_t v = (uint32_t)(int16_t)couple[2], w = (uint32_t)(int16_t)couple[3];
            for (int k = 0; k < WIDTH / 4; k++) sum[k] += WIDE(one[k]) * v;
            for (int k = 0; k < WIDTH / 4; k++) sum[k] += WIDE(two[k]) * w;
        }
        memcpy(sums, sum, sizeof sums);
        weigh_plain(job, lists, bounds, sums, row);
    }
}

static void dense_plain(const Job *job, List *lists, int32_t *bounds, int16_t *panel)
{
    enum { ROWS = 4, PART = 16 };
    int32_t sums[ROWS][WIDTH] ALIGNED;
    for (int64_t row = job->start; row < job->stop; row += ROWS) {
        const int n_rows = job->stop - row < ROWS ? (int)(job->stop - row) : ROWS;
        for (int from = 0; from < WIDTH; from += PART) {
            I4 sum[ROWS][PART / 4] = {{{0}}};
            for (int64_t c = 0; c < job->channels; c++) {
                const H4 *queries = (const H4 *)(panel + c * WIDTH + from);
                for (int r = 0; r < ROWS; r++) {
                    const size_t at = (size_t)(row + (r < n_rows ? r : 0)) * job->channels + c;
                    const uint32_t value = (uint32_t)(int16_t)job->rows[at];
                    for (int k = 0; k < PART / 4; k++) sum[r][k] += WIDE(queries[k]) * value;
                }
            }
            for (int r = 0; r < ROWS; r++) memcpy(&sums[r][from], sum[r], sizeof sum[r]);
        }
        for (int r = 0; r < n_rows; r++) weigh_plain(job, lists, bounds, sums[r], row + r);
    }
}

/* ---- Kernels for x86, by register size in bytes: pairs of 16-bit products are added at once. ---- */

#if X86
/* NAME, its target attribute, bytes V of a register, dense rows at once; ADD(sum, pairs, weights) adds the products
 * of pairs; LOW and HIGH interleave; MASK(sum, bounds) has a bit for each sum above its bound. */
#define KERNELS(NAME, TARGET, V, BYTES, ROWS, SPREAD, ADD, LOW, HIGH, MASK)                                      \
    enum { SUMS_##NAME = BYTES / 4, MOST_##NAME = WIDTH * 2 / BYTES, PANEL_##NAME = 2 * SUMS_##NAME };           \
                                                                                                                 \
    TARGET INLINE void weigh_##NAME(const Job *job, List *lists, int32_t *bounds, const V *sums, const int n,    \
                                    int64_t row)                                                                 \
    {                                                                                                            \
        uint64_t those = 0;                                                                                      \
        for (int v = 0; v < n; v++)                                                                              \
            those |= (uint64_t)MASK(sums[v], *(const V *)(bounds + v * SUMS_##NAME)) << (v * SUMS_##NAME);       \
        if (those) {                                                                                             \
            int32_t stored[WIDTH] ALIGNED = {0};                                                                 \
            for (int v = 0; v < n; v++) *(V *)(stored + v * SUMS_##NAME) = sums[v];                              \
            offer(job, lists, bounds, stored, those, row);                                                       \
        }                                                                                                        \
    }                                                                                                            \
                                                                                                                 \
    /* Queries as (channels, WIDTH), in an order that LOW and HIGH restore. */                                   \
    static void pack_sparse_##NAME(const Job *job, int16_t *panel)                                               \
    {                                                                                                            \
        for (int query = 0; query < job->n_queries; query++) {                                                   \
            const int at = query % PANEL_##NAME, half = at / SUMS_##NAME, in_half = at % SUMS_##NAME;            \
            const int place = query - at + in_half / 4 * 8 + half * 4 + in_half % 4;                             \
            for (int64_t c = 0; c < job->channels; c++)                                                          \
                panel[c * WIDTH + place] = job->queries[query * job->channels + c];                              \
        }                                                                                                        \
    }                                                                                                            \
                                                                                                                 \
    TARGET INLINE void sparse_rows_##NAME(const Job *job, List *lists, int32_t *bounds, const int16_t *panel,    \
                                          const int n)                                                           \
    {                                                                                                            \
        const uint16_t *const last = job->rows + 4 * (job->pointers[job->stop] - 1);                             \
        for (int64_t row = job->start; row < job->stop; row++) {                                                 \
            V sum[2 * MOST_##NAME];                                                                              \
            for (int v = 0; v < 2 * n; v++) sum[v] = (V){0};                                                     \
            const uint16_t *couple = job->rows + 4 * job->pointers[row];                                         \
            const uint16_t *const end = job->rows + 4 * job->pointers[row + 1];                                  \
            for (; couple < end; couple += 4) {                                                                  \
                const V *one = (const V *)(panel + (size_t)couple[0] * WIDTH);                                   \
                const V *two = (const V *)(panel + (size_t)couple[1] * WIDTH);                                   \
                const uint16_t *ahead = couple + 4 * AHEAD < last ? couple + 4 * AHEAD : last;                   \
                for (int i = 0; i < 2; i++)                                                                      \
                    for (int line = 0; line < n * BYTES; line += 64)                                             \
                        __builtin_prefetch((const char *)(panel + (size_t)ahead[i] * WIDTH) + line);             \
                int32_t values;                                                                                  \
                memcpy(&values, couple + 2, 4);                                                                  \
                const V weights = SPREAD(values);                                                                \
                for (int v = 0; v < n; v++) {                                                                    \
                    sum[2 * v] = ADD(sum[2 * v], LOW(one[v], two[v]), weights);                                  \
                    sum[2 * v + 1] = ADD(sum[2 * v + 1], HIGH(one[v], two[v]), weights);                         \
                }                                                                                                \
            }                                                                                                    \
            weigh_##NAME(job, lists, bounds, sum, 2 * n, row);                                                   \
        }                                                                                                        \
    }                                                                                                            \
                                                                                                                 \
    TARGET static void sparse_##NAME(const Job *job, List *lists, int32_t *bounds, int16_t *panel)               \
    {                                                                                                            \
        switch ((job->n_queries + PANEL_##NAME - 1) / PANEL_##NAME) {                                            \
        case 1: sparse_rows_##NAME(job, lists, bounds, panel, 1); break;                                         \
        case 2: sparse_rows_##NAME(job, lists, bounds, panel, 2); break;                                         \
        case 3: sparse_rows_##NAME(job, lists, bounds, panel, MOST_##NAME < 3 ? MOST_##NAME : 3); break;         \
        default: sparse_rows_##NAME(job, lists, bounds, panel, MOST_##NAME);                                     \
        }                                                                                                        \
    }                                                                                                            \
                                                                                                                 \
    /* Queries as (WIDTH / PANEL, pairs of channels, PANEL, 2). */                                               \
    static void pack_dense_##NAME(const Job *job, int16_t *panel)                                                \
    {                                                                                                            \
        for (int query = 0; query < job->n_queries; query++) {                                                   \
            int16_t *part = panel + (size_t)(query / PANEL_##NAME) * job->channels * PANEL_##NAME;               \
            for (int64_t c = 0; c < job->channels; c++)                                                          \
                part[(c / 2 * PANEL_##NAME + query % PANEL_##NAME) * 2 + c % 2] =                                \
                    job->queries[query * job->channels + c];                                                     \
        }                                                                                                        \
    }                                                                                                            \
                                                                                                                 \
    /* The products of n channels of ROWS rows with PANEL queries, added to `sums`. */                           \
    TARGET INLINE void tile_##NAME(const int16_t *queries, const int16_t *values, int64_t n, int32_t *sums)      \
    {                                                                                                            \
        V sum[ROWS][2];                                                                                          \
        for (int r = 0; r < ROWS; r++) {                                                                         \
            sum[r][0] = *(const V *)(sums + r * WIDTH);                                                          \
            sum[r][1] = *(const V *)(sums + r * WIDTH + SUMS_##NAME);                                            \
        }                                                                                                        \
        for (int64_t c = 0; c < n; c += 2, queries += 2 * PANEL_##NAME) {                                        \
            V one = *(const V *)queries, two = *(const V *)(queries + PANEL_##NAME);                             \
            __asm__("" : "+v"(one), "+v"(two)); /* read once, not for each row */                                \
            for (int r = 0; r < ROWS; r++) {                                                                     \
                int32_t pair;                                                                                    \
                memcpy(&pair, values + r * STRIDE + c, 4);                                                       \
                const V weights = SPREAD(pair);                                                                  \
                sum[r][0] = ADD(sum[r][0], one, weights);                                                        \
                sum[r][1] = ADD(sum[r][1], two, weights);                                                        \
            }                                                                                                    \
        }                                                                                                        \
        for (int r = 0; r < ROWS; r++) {                                                                         \
            *(V *)(sums + r * WIDTH) = sum[r][0];                                                                \
            *(V *)(sums + r * WIDTH + SUMS_##NAME) = sum[r][1];                                                  \
        }                                                                                                        \
    }                                                                                                            \
                                                                                                                 \
    TARGET static void dense_##NAME(const Job *job, List *lists, int32_t *bounds, int16_t *panel)                \
    {                                                                                                            \
        int32_t sums[TALL][WIDTH] ALIGNED;                                                                       \
        int16_t packed[TALL * STRIDE] ALIGNED;                                                                   \
        const int64_t channels = job->channels;                                                                  \
        const int used = (job->n_queries + PANEL_##NAME - 1) / PANEL_##NAME;                                     \
        for (int64_t first = job->start; first < job->stop; first += TALL) {                                     \
            const int n_rows = job->stop - first < TALL ? (int)(job->stop - first) : TALL;                       \
            const int n_groups = (n_rows + ROWS - 1) / ROWS;                                                     \
            memset(sums, 0, sizeof sums);                                                                        \
            for (int64_t from = 0; from < channels; from += CHANNELS) {                                          \
                const int64_t n = channels - from < CHANNELS ? channels - from : CHANNELS;                       \
                for (int r = 0; r < n_groups * ROWS; r++)                                                        \
                    memcpy(packed + r * STRIDE,                                                                  \
                           job->rows + (size_t)(first + (r < n_rows ? r : 0)) * channels + from, n * 2);         \
                for (int p = 0; p < used; p++)                                                                   \
                    for (int g = 0; g < n_groups; g++)                                                           \
                        tile_##NAME(panel + (p * channels + from) * PANEL_##NAME, packed + g * ROWS * STRIDE, n, \
                                    &sums[g * ROWS][p * PANEL_##NAME]);                                          \
            }                                                                                                    \
            for (int r = 0; r < n_rows; r++)                                                                     \
                weigh_##NAME(job, lists, bounds, (const V *)sums[r], used * 2, first + r);                       \
        }                                                                                                        \
    }

#define AVX2 __attribute__((target("avx2")))
#define AVX512 __attribute__((target("avx512f,avx512bw,avx2")))
#define VNNI __attribute__((target("avx512f,avx512bw,avx512vnni,avx2")))
/* In place: otherwise, the compiler copies every sum to another register and back. */
#define ADDED(NAME, TARGET, V, MADD)                                                                             \
    TARGET INLINE V NAME(V sum, V pairs, V weights)                                                              \
    {                                                                                                            \
        const V products = MADD(pairs, weights);                                                                 \
        __asm__("vpaddd %1, %0, %0" : "+v"(sum) : "v"(products));                                                \
        return sum;                                                                                              \
    }
ADDED(add_256, AVX2, __m256i, _mm256_madd_epi16)
ADDED(add_512, AVX512, __m512i, _mm512_madd_epi16)
VNNI INLINE __m512i add_vnni(__m512i sum, __m512i pairs, __m512i weights)
{
    __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(pairs), "v"(weights));
    return sum;
}
#define MASK_256(sum, bounds) (uint8_t)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(sum, bounds)))
KERNELS(avx2, AVX2, __m256i, 32, 6, _mm256_set1_epi32, add_256, _mm256_unpacklo_epi16, _mm256_unpackhi_epi16, MASK_256)
KERNELS(avx512, AVX512, __m512i, 64, 8, _mm512_set1_epi32, add_512, _mm512_unpacklo_epi16, _mm512_unpackhi_epi16,
        _mm512_cmpgt_epi32_mask)
KERNELS(vnni, VNNI, __m512i, 64, 8, _mm512_set1_epi32, add_vnni, _mm512_unpacklo_epi16,
        _mm512_unpackhi_epi16, _mm512_cmpgt_epi32_mask)
#endif

typedef void (*Pack)(const Job *, int16_t *);
typedef void (*Kernel)(const Job *, List *, int32_t *, int16_t *);
typedef struct { const char *name; Pack pack_sparse, pack_dense; Kernel sparse, dense; } Level;
static const Level LEVELS[] = {
    {"plain", pack_plain, pack_plain, sparse_plain, dense_plain},
#if X86
    {"avx2", pack_sparse_avx2, pack_dense_avx2, sparse_avx2, dense_avx2},
    {"avx512", pack_sparse_avx512, pack_dense_avx512, sparse_avx512, dense_avx512},
    {"avx512vnni", pack_sparse_vnni, pack_dense_vnni, sparse_vnni, dense_vnni},
#endif
};

static int best_level(void)
{
#if X86
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2")) return 0;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw")) return 1;
    return __builtin_cpu_supports("avx512vnni") ? 3 : 2;
#else
    return 0;
#endif
}

/* Allocate a panel of queries, aligned and zeroed. For many rows it is placed in one large page: reads of a panel are
 * scattered, and with small pages 10 % or more of the time is spent on address translation. */
static int16_t *new_panel(int64_t channels, int64_t n_rows)
{
    const size_t size = sizeof(int16_t) * WIDTH * (size_t)channels; /* a multiple of 64 */
    int16_t *panel = NULL;
#if defined(MADV_HUGEPAGE)
    if (n_rows >= MANY_ROWS) {
        const size_t whole = (size + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE;
        panel = aligned_alloc(LARGE_PAGE, whole);
        if (panel) madvise(panel, whole, MADV_HUGEPAGE); /* a hint: the system may ignore it */
    }
#else
    (void)n_rows;
#endif
    if (!panel) panel = aligned_alloc(64, size);
    if (panel) memset(panel, 0, size);
    return panel;
}

/* Run a kernel over the rows [start, stop), starting from the lists of earlier rows. -1: out of memory. */
static int run(const Job *job, const Level *level, int32_t keep, int32_t *scores, int32_t *rows, int32_t *left)
{
    List lists[WIDTH];
    int32_t bounds[WIDTH] ALIGNED;
    const int32_t capacity = 2 * keep + 64;
    Entry *entries = malloc(sizeof(Entry) * (size_t)capacity * (size_t)job->n_queries);
    int16_t *panel = new_panel(job->channels, job->stop - job->start);
    if (!entries || !panel) {
        free(entries);
        free(panel);
        return -1;
    }
    (job->pointers ? level->pack_sparse : level->pack_dense)(job, panel);
    for (int query = 0; query < WIDTH; query++) bounds[query] = INT32_MAX;
    for (int query = 0; query < job->n_queries; query++) {
        List *list = &lists[query];
        *list = (List){entries + (size_t)query * capacity, 0, capacity, keep, left[query]};
        for (int32_t i = 0; i < keep && rows[query * keep + i] >= 0; i++, list->n++)
            list->entries[i] = (Entry){scores[query * keep + i], rows[query * keep + i]};
        bounds[query] = list->left;
    }
    (job->pointers ? level->sparse : level->dense)(job, lists, bounds, panel);
    for (int query = 0; query < job->n_queries; query++) {
        cut_back(&lists[query]);
        for (int32_t i = 0; i < keep; i++) {
            const int there = i < lists[query].n;
            scores[query * keep + i] = there ? lists[query].entries[i].score : INT32_MIN;
            rows[query * keep + i] = there ? lists[query].entries[i].row : -1;
        }
        left[query] = lists[query].left;
    }
    free(entries);
    free(panel);
    return 0;
}

/* ---- Vectors to codes, and codes to sparse rows. ---- */

INLINE int16_t code_of(double value)
{
    double code = value * ONE;
    code = code > ONE ? ONE : code < -ONE ? -ONE : code == code ? code : 0;
    return (int16_t)(int32_t)(code < 0 ? code - 0.5 : code + 0.5);
}

INLINE double squared_change(double value, int16_t code)
{
    const double change = value - (double)code * (1.0 / ONE);
    return change * change;
}

/* Round vectors (n, channels) to codes (n, padded) and return the squared norms of the changes. */
#define QUANTIZE(NAME, TARGET)                                                                                   \
    TARGET static void quantize_##NAME(const float *vectors, int64_t n, int64_t channels, int64_t padded,        \
                                       int16_t *codes, double *changed)                                          \
    {                                                                                                            \
        enum { LANES = 8 };                                                                                      \
        for (int64_t row = 0; row < n; row++, vectors += channels, codes += padded) {                            \
            double sums[LANES] = {0}, sum = 0;                                                                   \
            int64_t c = 0;                                                                                       \
            for (; c + LANES <= channels; c += LANES)                                                            \
                for (int lane = 0; lane < LANES; lane++) {                                                       \
                    codes[c + lane] = code_of(vectors[c + lane]);                                                \
                    sums[lane] += squared_change(vectors[c + lane], codes[c + lane]);                            \
                }                                                                                                \
            for (; c < channels; c++) {                                                                          \
                codes[c] = code_of(vectors[c]);                                                                  \
                sum += squared_change(vectors[c], codes[c]);                                                     \
            }                                                                                                    \
            for (; c < padded; c++) codes[c] = 0;                                                                \
            for (int lane = 0; lane < LANES; lane++) sum += sums[lane];                                          \
            changed[row] = sum;                                                                                  \
        }                                                                                                        \
    }
QUANTIZE(plain, )
#if X86
QUANTIZE(avx2, AVX2)
#endif

static void quantize_rows(const float *vectors, int64_t n, int64_t channels, int64_t padded, int16_t *codes,
                          double *changed)
{
#if X86
    if (best_level() > 0) {
        quantize_avx2(vectors, n, channels, padded, codes, changed);
        return;
    }
#endif
    quantize_plain(vectors, n, channels, padded, codes, changed);
}

/* Count the couples of rows of codes (n, channels), and write them if there is an output for them. */
static int64_t couple_rows(const int16_t *codes, int64_t n, int64_t channels, int64_t *pointers, uint16_t *couples)
{
    int64_t count = 0;
    pointers[0] = 0;
    for (int64_t row = 0; row < n; row++) {
        const int16_t *from = codes + row * channels;
        int64_t in_row = 0;
        if (couples) {
            for (int64_t c = 0; c < channels; c++)
                if (from[c]) {
                    uint16_t *couple = couples + 4 * (count + in_row / 2) + in_row % 2;
                    couple[0] = (uint16_t)c;
                    couple[2] = (uint16_t)from[c];
                    in_row++;
                }
            if (in_row % 2) { /* a zero, with a column already in use */
                uint16_t *couple = couples + 4 * (count + in_row / 2);
                couple[1] = couple[0];
                couple[3] = 0;
            }
        } else {
            for (int64_t c = 0; c < channels; c++) in_row += from[c] != 0;
        }
        count += (in_row + 1) / 2;
        pointers[row + 1] = count;
    }
    return count;
}

/* Check that sparse rows lie within the arrays, and their columns within the channels. */
static int are_whole(const int64_t *pointers, int64_t n, const uint16_t *couples, int64_t n_couples, int64_t channels)
{
    if (pointers[0] != 0 || pointers[n] != n_couples) return 0;
    for (int64_t row = 0; row < n; row++)
        if (pointers[row] > pointers[row + 1]) return 0;
    int whole = 1;
    for (int64_t i = 0; i < n_couples; i++)
        whole &= couples[4 * i] < channels && couples[4 * i + 1] < channels && (int16_t)couples[4 * i + 2] != INT16_MIN
                 && (int16_t)couples[4 * i + 3] != INT16_MIN;
    return whole;
}

/* ---- Stored rows, normalized. The values are those of `hueprobe.memory.vectors.renormalize`, bit for bit. ---- */

typedef float F8 __attribute__((vector_size(32), aligned(4), may_alias));

INLINE float to_float(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 0x3FF;
    uint32_t bits = sign | (exponent + 112) << 23 | fraction << 13;
    if (exponent == 31) bits |= 0x7F800000;
    float value;
    memcpy(&value, &bits, 4);
    if (!exponent) value = (sign ? -1.0f : 1.0f) * (float)fraction / 16777216;
    return value;
}

static void widen_plain(const uint16_t *from, int64_t n, float *to)
{
    for (int64_t c = 0; c < n; c++) to[c] = to_float(from[c]);
}

#if X86
__attribute__((target("avx2,f16c"))) static void widen_f16c(const uint16_t *from, int64_t n, float *to)
{
    int64_t c = 0;
    for (; c + 8 <= n; c += 8)
        _mm256_storeu_ps(to + c, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(from + c))));
    for (; c < n; c++) to[c] = to_float(from[c]);
}
#endif

/* Sums are in the order of NumPy's pairwise summation: eight sums in blocks of up to 128 values, larger arrays in two
 * parts. The file is compiled without fused multiply-add, which would round differently. */
#define NORMALIZE(NAME, TARGET)                                                                                  \
    TARGET static float squared_length_##NAME(const float *row, int64_t n)                                       \
    {                                                                                                            \
        if (n > 128) {                                                                                           \
            const int64_t half = n / 2 - n / 2 % 8;                                                              \
            return squared_length_##NAME(row, half) + squared_length_##NAME(row + half, n - half);               \
        }                                                                                                        \
        float sum = 0;                                                                                           \
        int64_t c = 0;                                                                                           \
        if (n >= 8) {                                                                                            \
            F8 sums = *(const F8 *)row * *(const F8 *)row;                                                       \
            for (c = 8; c < n - n % 8; c += 8) sums += *(const F8 *)(row + c) * *(const F8 *)(row + c);          \
            sum = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));     \
        }                                                                                                        \
        for (; c < n; c++) sum += row[c] * row[c];                                                               \
        return sum;                                                                                              \
    }                                                                                                            \
                                                                                                                 \
    TARGET static void normalize_##NAME(float *row, int64_t n)                                                   \
    {                                                                                                            \
        const float length = sqrtf(squared_length_##NAME(row, n));                                               \
        if (length == 0) return;                                                                                 \
        for (int64_t c = 0; c < n; c++) row[c] /= length;                                                        \
    }
NORMALIZE(plain, )
#if X86
NORMALIZE(avx2, AVX2)
#endif

static void normalize_rows(const void *rows, int is_half, int64_t n, int64_t channels, float *out)
{
    void (*widen)(const uint16_t *, int64_t, float *) = widen_plain;
    void (*normalize)(float *, int64_t) = normalize_plain;
#if X86
    if (best_level() > 0) normalize = normalize_avx2;
    if (best_level() > 0 && __builtin_cpu_supports("f16c")) widen = widen_f16c;
#endif
    for (int64_t row = 0; row < n; row++) {
        float *to = out + row * channels;
        if (is_half) widen((const uint16_t *)rows + row * channels, channels, to);
        else memcpy(to, (const float *)rows + row * channels, sizeof(float) * channels);
        normalize(to, channels);
    }
}

/* ---- Exact distances. ---- */

/* Squared distance in float64, from differences in float64. */
INLINE double squared_distance(const float *one, const float *two, int64_t n)
{
    enum { LANES = 16 };
    double sums[LANES] = {0}, sum = 0;
    int64_t c = 0;
    for (; c + LANES <= n; c += LANES)
        for (int lane = 0; lane < LANES; lane++) {
            const double difference = (double)one[c + lane] - (double)two[c + lane];
            sums[lane] += difference * difference;
        }
    for (; c < n; c++) {
        const double difference = (double)one[c] - (double)two[c];
        sum += difference * difference;
    }
    for (int lane = 0; lane < LANES; lane++) sum += sums[lane];
    return sum;
}

#define DISTANCES(NAME, TARGET)                                                                                  \
    TARGET static void distances_##NAME(const float *queries, const float *rows, const int64_t *where, int64_t n,\
                                        int64_t width, int64_t channels, double *out)                            \
    {                                                                                                            \
        for (int64_t query = 0; query < n; query++)                                                              \
            for (int64_t i = query * width; i < (query + 1) * width; i++)                                        \
                out[i] = sqrt(squared_distance(queries + query * channels, rows + where[i] * channels, channels));\
    }
DISTANCES(plain, )
#if X86
DISTANCES(avx2, AVX2)
#endif

static void distances_of(const float *queries, const float *rows, const int64_t *where, int64_t n, int64_t width,
                         int64_t channels, double *out)
{
#if X86
    if (best_level() > 0) {
        distances_avx2(queries, rows, where, n, width, channels, out);
        return;
    }
#endif
    distances_plain(queries, rows, where, n, width, channels, out);
}

/* ---- Python interface: takes buffers and checks their lengths in bytes. ---- */

static int require(int holds, const char *what)
{
    if (!holds) PyErr_Format(PyExc_ValueError, "%s do not fit the other arguments", what);
    return holds ? 0 : -1;
}

/* Get the buffers of n objects, the last n_out writable; None has no buffer. */
static int get_buffers(PyObject *const *objects, Py_buffer *views, int n, int n_out)
{
    memset(views, 0, sizeof(Py_buffer) * n);
    for (int i = 0; i < n; i++) {
        if (objects[i] == Py_None) continue;
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

enum { QUERIES, POINTERS, ROWS_IN, BARRED_FROM, BARRED, SCORES, ROWS_OUT, LEFT, N_BUFFERS };

static int check_job(const Py_buffer *views, const Job *job, Py_ssize_t n_rows, int32_t keep, int level)
{
    const Py_ssize_t n = job->n_queries;
    if (require(n >= 1 && n <= WIDTH, "numbers of queries") < 0) return -1;
    if (require(keep >= 1 && keep <= 1 << 24, "numbers of entries to keep") < 0) return -1;
    if (require(job->channels >= 1 && job->channels <= 1 << 16, "numbers of channels") < 0) return -1;
    if (require(level >= 0 && level <= best_level(), "levels that this processor has and others") < 0) return -1;
    if (require(job->start >= 0 && job->start <= job->stop && job->stop <= n_rows, "rows") < 0) return -1;
    if (require(job->first >= 0 && job->first + n_rows <= INT32_MAX, "names of rows") < 0) return -1;
    if (require(views[QUERIES].len == n * job->channels * 2, "queries") < 0) return -1;
    if (require(views[BARRED_FROM].len == (n + 1) * 8, "numbers of barred rows") < 0) return -1;
    if (require(views[SCORES].len == n * keep * 4 && views[ROWS_OUT].len == n * keep * 4, "entries") < 0) return -1;
    if (require(views[LEFT].len == n * 4, "bounds") < 0) return -1;
    const Py_ssize_t n_barred = views[BARRED].len / 4;
    for (Py_ssize_t query = 0; query < n; query++)
        if (require(job->barred_from[query] >= 0 && job->barred_from[query] <= job->barred_from[query + 1]
                    && job->barred_from[query + 1] <= n_barred, "barred rows") < 0)
            return -1;
    if (!job->pointers)
        return require(job->channels % 2 == 0 && views[ROWS_IN].len == n_rows * job->channels * 2, "dense rows");
    /* Only the ends are checked here; the caller checks the rest once (`check_couples`). */
    if (require(views[POINTERS].len == (n_rows + 1) * 8, "pointers") < 0) return -1;
    return require(job->pointers[job->start] >= 0 && job->pointers[job->stop] <= views[ROWS_IN].len / 8, "couples");
}

static PyObject *highest_products(PyObject *self, PyObject *args)
{
    PyObject *objects[N_BUFFERS], *result = NULL;
    Py_buffer views[N_BUFFERS];
    Job job = {0};
    Py_ssize_t channels, n_rows, start, stop, first;
    int keep, level, failed;
    (void)self;
    if (!PyArg_ParseTuple(args, "OOOOOOOOinnnnnii", &objects[QUERIES], &objects[POINTERS], &objects[ROWS_IN],
            &objects[BARRED_FROM], &objects[BARRED], &objects[SCORES], &objects[ROWS_OUT], &objects[LEFT],
            &job.n_queries, &channels, &n_rows, &start, &stop, &first, &keep, &level))
        return NULL;
    if (get_buffers(objects, views, N_BUFFERS, 3) < 0) goto done;
    job.channels = channels;
    job.queries = views[QUERIES].buf;
    job.pointers = views[POINTERS].buf;
    job.rows = views[ROWS_IN].buf;
    job.barred_from = views[BARRED_FROM].buf;
    job.barred = views[BARRED].buf;
    job.start = start;
    job.stop = stop;
    job.first = first;
    if (check_job(views, &job, n_rows, keep, level) < 0) goto done;
    Py_BEGIN_ALLOW_THREADS
    failed = run(&job, &LEVELS[level], keep, views[SCORES].buf, views[ROWS_OUT].buf, views[LEFT].buf);
    Py_END_ALLOW_THREADS
    if (failed) PyErr_NoMemory();
    else result = Py_NewRef(Py_None);
done:
    release_buffers(views, N_BUFFERS);
    return result;
}

static PyObject *quantize(PyObject *self, PyObject *args)
{
    PyObject *objects[3], *result = NULL;
    Py_buffer views[3];
    Py_ssize_t channels, padded;
    (void)self;
    if (!PyArg_ParseTuple(args, "OOOnn", &objects[0], &objects[1], &objects[2], &channels, &padded)) return NULL;
    if (get_buffers(objects, views, 3, 2) < 0) goto done;
    const Py_ssize_t n = views[2].len / 8;
    if (require(channels >= 1 && padded >= channels && views[0].len == n * channels * 4
                && views[1].len == n * padded * 2 && views[2].len == n * 8, "vectors and codes") < 0)
        goto done;
    Py_BEGIN_ALLOW_THREADS
    quantize_rows(views[0].buf, n, channels, padded, views[1].buf, views[2].buf);
    Py_END_ALLOW_THREADS
    result = Py_NewRef(Py_None);
done:
    release_buffers(views, 3);
    return result;
}

static PyObject *normalize(PyObject *self, PyObject *args)
{
    PyObject *objects[2], *result = NULL;
    Py_buffer views[2];
    Py_ssize_t channels;
    (void)self;
    if (!PyArg_ParseTuple(args, "OOn", &objects[0], &objects[1], &channels)) return NULL;
    if (get_buffers(objects, views, 2, 1) < 0) goto done;
    const int is_half = views[0].len * 2 == views[1].len;
    if (require(channels >= 1 && views[1].len % (channels * 4) == 0 && (is_half || views[0].len == views[1].len),
                "rows and vectors") < 0)
        goto done;
    Py_BEGIN_ALLOW_THREADS
    normalize_rows(views[0].buf, is_half, views[1].len / (channels * 4), channels, views[1].buf);
    Py_END_ALLOW_THREADS
    result = Py_NewRef(Py_None);
done:
    release_buffers(views, 2);
    return result;
}

static PyObject *couple(PyObject *self, PyObject *args)
{
    PyObject *objects[3], *result = NULL;
    Py_buffer views[3];
    Py_ssize_t channels;
    int64_t count;
    (void)self;
    if (!PyArg_ParseTuple(args, "OOOn", &objects[0], &objects[1], &objects[2], &channels)) return NULL;
    if (get_buffers(objects, views, 3, 2) < 0) goto done;
    const Py_ssize_t n = views[1].len / 8 - 1;
    if (require(n >= 0 && channels >= 1 && channels <= 1 << 16 && views[0].len == n * channels * 2
                && views[1].len == (n + 1) * 8, "codes and pointers") < 0)
        goto done;
    Py_BEGIN_ALLOW_THREADS
    count = couple_rows(views[0].buf, n, channels, views[1].buf, NULL);
    if (views[2].buf && views[2].len == count * 8)
        couple_rows(views[0].buf, n, channels, views[1].buf, views[2].buf);
    Py_END_ALLOW_THREADS
    if (objects[2] != Py_None && require(views[2].len == count * 8, "couples") < 0) goto done;
    result = PyLong_FromLongLong(count);
done:
    release_buffers(views, 3);
    return result;
}

static PyObject *check_couples(PyObject *self, PyObject *args)
{
    PyObject *objects[2], *result = NULL;
    Py_buffer views[2];
    Py_ssize_t channels;
    int whole;
    (void)self;
    if (!PyArg_ParseTuple(args, "OOn", &objects[0], &objects[1], &channels)) return NULL;
    if (get_buffers(objects, views, 2, 0) < 0) goto done;
    if (require(views[0].len >= 8 && views[0].len % 8 == 0 && views[1].len % 8 == 0, "pointers") < 0) goto done;
    Py_BEGIN_ALLOW_THREADS
    whole = are_whole(views[0].buf, views[0].len / 8 - 1, views[1].buf, views[1].len / 8, channels);
    Py_END_ALLOW_THREADS
    result = PyBool_FromLong(whole);
done:
    release_buffers(views, 2);
    return result;
}

static PyObject *distances(PyObject *self, PyObject *args)
{
    PyObject *objects[4], *result = NULL;
    Py_buffer views[4];
    Py_ssize_t channels;
    (void)self;
    if (!PyArg_ParseTuple(args, "OOOOn", &objects[0], &objects[1], &objects[2], &objects[3], &channels)) return NULL;
    if (get_buffers(objects, views, 4, 1) < 0) goto done;
    if (require(channels >= 1 && views[0].len % (channels * 4) == 0 && views[1].len % (channels * 4) == 0, "vectors") < 0)
        goto done;
    const Py_ssize_t n = views[0].len / (channels * 4), n_rows = views[1].len / (channels * 4);
    const Py_ssize_t n_places = views[2].len / 8;
    if (require(views[3].len == views[2].len && (n ? n_places % n == 0 : n_places == 0), "places") < 0) goto done;
    const int64_t *where = views[2].buf;
    int inside = 1;
    for (Py_ssize_t i = 0; i < n_places; i++) inside &= where[i] >= 0 && where[i] < n_rows;
    if (require(inside, "places") < 0) goto done;
    Py_BEGIN_ALLOW_THREADS
    if (n) distances_of(views[0].buf, views[1].buf, where, n, n_places / n, channels, views[3].buf);
    Py_END_ALLOW_THREADS
    result = Py_NewRef(Py_None);
done:
    release_buffers(views, 4);
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
    {"quantize", quantize, METH_VARARGS, "Round float32 vectors to codes; give the squared length of what that changed."},
    {"normalize", normalize, METH_VARARGS, "Normalize float16 or float32 rows to float32 vectors of length 1."},
    {"couple", couple, METH_VARARGS, "Return how many couples the nonzero codes of rows make, and write them."},
    {"check_couples", check_couples, METH_VARARGS, "Return whether sparse rows are such as `couple` writes."},
    {"distances", distances, METH_VARARGS, "Compute the distances of queries and rows at given places, in float64."},
    {"levels", levels, METH_NOARGS, "Return the names of the instruction sets there are here, the fastest last."},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_native", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__native(void)
{
    return PyModule_Create(&module);
}
