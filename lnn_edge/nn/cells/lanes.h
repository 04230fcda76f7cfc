/* Sequences side by side: a value is LANES numbers, one of each sequence, in PARTS vectors.
   The including library defines real and LANES. Sums run in a fixed order, so that a result
   depends on neither the number of threads nor on chance. */
#ifndef LANES_H
#define LANES_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "real.h"

#if defined(__AVX512F__)
#define WIDTH 64
#define TALL 8 /* rows of a product summed at once, with 2 vectors of its inputs */
#elif defined(__AVX__)
#define WIDTH 32
#define TALL 4
#else
#define WIDTH 16
#define TALL 4
#endif

typedef real vec __attribute__((vector_size(WIDTH)));
typedef bits ivec __attribute__((vector_size(WIDTH)));

#define PER (int)(WIDTH / sizeof(real))
#define PARTS (LANES / PER)
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")
#define EACH(p) for (int p = 0; p < PARTS; p++)

/* 2^t = 2^n 2^r: n = round(t) lies in the last bits of t + ROUND, 2^r is its Taylor series. */
INLINE vec exp2_of(vec t)
{
    static const double series[] = { /* log(2)^k / k! */
        1.0, 0.6931471805599453, 0.2402265069591007, 0.055504108664821576,
        0.009618129107628477, 0.0013333558146428441, 0.00015403530393381606, 1.5252733804059838e-05,
        1.3215486790144305e-06, 1.0178086009239696e-07, 7.054911620801121e-09, 4.44553827187081e-10,
        2.5678435993488196e-11, 1.3691488853904124e-12,
    };
    for (int k = 0; k < PER; k++)
        t[k] = t[k] > LARGEST_POWER ? LARGEST_POWER : t[k]; /* a NaN stays one */
    for (int k = 0; k < PER; k++)
        t[k] = t[k] < -LARGEST_POWER ? -LARGEST_POWER : t[k];
    const vec n = t + ROUND, r = t - (n - ROUND);
    vec power = r * (real)series[TERMS] + (real)series[TERMS - 1];
    UNROLL
    for (int k = TERMS - 2; k >= 0; k--)
        power = power * r + (real)series[k];
    return (vec)((ivec)power + ((ivec)n << MANTISSA));
}

#define LOG2_E (real)1.4426950408889634

/* The argument of `open`, times this, is sigmoid's. */
#define OPEN_SCALE -LOG2_E

INLINE vec open(vec scaled)
{
    return 1 / (1 + exp2_of(scaled));
}

INLINE vec sigmoid_of(vec x)
{
    return open(x * OPEN_SCALE);
}

INLINE vec tanh_of(vec x)
{
    return 1 - 2 / (1 + exp2_of(x * (2 * LOG2_E)));
}

INLINE vec abs_of(vec x)
{
    for (int k = 0; k < PER; k++)
        x[k] = x[k] < 0 ? -x[k] : x[k];
    return x;
}

INLINE real sum_of(vec x)
{
    UNROLL
    for (int half = PER / 2; half > 0; half /= 2)
        for (int k = 0; k < half; k++)
            x[k] += x[k + half];
    return x[0];
}

static vec *make_room(int64_t values)
{
    const size_t bytes = (size_t)(values ? values : 1) * LANES * sizeof(real);
    return aligned_alloc(64, (bytes + 63) / 64 * 64);
}

/* What a block of sequences is of all: its first, and how many lanes are real. Lanes beyond the
   last sequence repeat it on the way forward and count for nothing on the way back. */
struct block
{
    int64_t first, lanes, batch;
};

INLINE struct block block_of(int64_t index, int64_t batch)
{
    const int64_t first = index * LANES, left = batch - first;
    return (struct block){first, left < LANES ? left : LANES, batch};
}

/* rows numbers of each sequence, from (batch, rows) to lanes */
static void gather(struct block b, int64_t rows, const real *from, vec *to)
{
    real *out = (real *)to;
    for (int64_t lane = 0; lane < LANES; lane++)
    {
        const real *row = from + (b.first + (lane < b.lanes ? lane : b.lanes - 1)) * rows;
        for (int64_t r = 0; r < rows; r++)
            out[r * LANES + lane] = row[r];
    }
}

/* the same for gradients, added to what is there */
static void gather_more(struct block b, int64_t rows, const real *from, vec *to)
{
    real *out = (real *)to;
    for (int64_t lane = 0; lane < b.lanes; lane++)
        for (int64_t r = 0; r < rows; r++)
            out[r * LANES + lane] += from[(b.first + lane) * rows + r];
}

static void scatter(struct block b, int64_t rows, const vec *from, real *to)
{
    const real *in = (const real *)from;
    for (int64_t lane = 0; lane < b.lanes; lane++)
        for (int64_t r = 0; r < rows; r++)
            to[(b.first + lane) * rows + r] = in[r * LANES + lane];
}

#endif
