/* An LTC cell over a block of sequences and its gradient, as Ltc.step defines them.
   How open synapses were is computed once more on the way back. */

#include "lanes.h"

enum /* sizes */
{
    BATCH, STEPS, INPUTS, NEURONS, UNFOLDS, SENSORY, RECURRENT
};
enum /* arrays */
{
    U, V, DT, CAPACITY, LEAK, SYNAPSES, STATES, KEPT, INTO_STATES, INTO_U, INTO_V, INTO_DT,
    INTO_CELL
};

/* The synapses into all neurons, those of a neuron side by side, from begin[j] to begin[j + 1].
   of[4 q] on: sigma, offset, current, conductance; the first two times OPEN_SCALE in `scaled`. */
struct synapses
{
    const int64_t *begin, *source;
    const real *of;
    real *scaled;
};

enum { SIGMA, OFFSET, CURRENT, CONDUCTANCE, FACTORS };

static struct synapses synapses_of(
    const int64_t *wiring, int64_t neurons, int64_t count, const real *of)
{
    real *scaled = malloc((size_t)(2 * count + 1) * sizeof(real));
    struct synapses s = {wiring, wiring + neurons + 1, of, scaled};
    for (int64_t q = 0; s.scaled != NULL && q < count; q++)
    {
        s.scaled[2 * q] = of[FACTORS * q + SIGMA] * OPEN_SCALE;
        s.scaled[2 * q + 1] = of[FACTORS * q + OFFSET] * OPEN_SCALE;
    }
    return s;
}

INLINE vec open_at(const struct synapses *s, int64_t q, vec source)
{
    return open(source * s->scaled[2 * q] + s->scaled[2 * q + 1]);
}

/* sums (2 neurons): currents and conductances, added to what is there */
static void add_sums(int64_t neurons, const struct synapses *s, const vec *sources, vec *sums)
{
    for (int64_t j = 0; j < neurons; j++)
    {
        vec current[PARTS], conductance[PARTS];
        EACH(p) current[p] = sums[j * PARTS + p], conductance[p] = sums[(neurons + j) * PARTS + p];
        for (int64_t q = s->begin[j]; q < s->begin[j + 1]; q++)
        {
            const vec *x = sources + s->source[q] * PARTS;
            const real *of = s->of + FACTORS * q;
            UNROLL
            EACH(p)
            {
                const vec o = open_at(s, q, x[p]);
                current[p] += of[CURRENT] * o;
                conductance[p] += of[CONDUCTANCE] * o;
            }
        }
        EACH(p) sums[j * PARTS + p] = current[p], sums[(neurons + j) * PARTS + p] = conductance[p];
    }
}

/* dL/d(sources), added, and dL/d(factors) of each synapse into FACTORS vectors of `into` */
static void sums_back(
    int64_t neurons, const struct synapses *s, const vec *sources, const vec *into_sums,
    vec *into_sources, vec *into)
{
    for (int64_t j = 0; j < neurons; j++)
    {
        vec current[PARTS], conductance[PARTS];
        EACH(p) current[p] = into_sums[j * PARTS + p];
        EACH(p) conductance[p] = into_sums[(neurons + j) * PARTS + p];
        for (int64_t q = s->begin[j]; q < s->begin[j + 1]; q++)
        {
            const vec *x = sources + s->source[q] * PARTS;
            vec *to = into_sources + s->source[q] * PARTS, *sum = into + FACTORS * q;
            const real *of = s->of + FACTORS * q;
            vec sigma = sum[SIGMA], offset = sum[OFFSET];
            vec currents = sum[CURRENT], conductances = sum[CONDUCTANCE];
            UNROLL
            EACH(p)
            {
                const vec o = open_at(s, q, x[p]);
                const vec pull = current[p] * of[CURRENT] + conductance[p] * of[CONDUCTANCE];
                const vec e = pull * (o - o * o);
                currents += current[p] * o;
                conductances += conductance[p] * o;
                offset += e;
                sigma += e * x[p];
                to[p] += e * of[SIGMA];
            }
            sum[SIGMA] = sigma, sum[OFFSET] = offset;
            sum[CURRENT] = currents, sum[CONDUCTANCE] = conductances;
        }
    }
}

/* kept of an unfold: potentials before it, currents and conductances */
#define UNFOLD(neurons) (3 * (neurons) * PARTS)

int64_t ltc_kept(const int64_t *sizes)
{
    return sizes[STEPS] * sizes[UNFOLDS] * 3 * sizes[NEURONS] * LANES;
}

static vec *kept_of(const int64_t *sizes, real *const *arrays, int64_t index)
{
    return (vec *)arrays[KEPT] + index * (ltc_kept(sizes) / LANES) * PARTS;
}

struct both
{
    struct synapses sensory, recurrent;
};

static struct both both_of(const int64_t *sizes, const int64_t *wiring, real *const *arrays)
{
    const int64_t neurons = sizes[NEURONS], count = sizes[SENSORY];
    return (struct both){
        synapses_of(wiring, neurons, count, arrays[SYNAPSES]),
        synapses_of(wiring + neurons + 1 + count, neurons, sizes[RECURRENT],
                    arrays[SYNAPSES] + FACTORS * count)};
}

static int close_both(struct both *s, vec *room, int failed)
{
    free(s->sensory.scaled);
    free(s->recurrent.scaled);
    free(room);
    return failed;
}

int ltc_forward(
    const int64_t *sizes, real *const *arrays, int64_t index, const int64_t *wiring)
{
    const struct block b = block_of(index, sizes[BATCH]);
    const int64_t neurons = sizes[NEURONS], inputs = sizes[INPUTS], n = neurons * PARTS;
    struct both s = both_of(sizes, wiring, arrays);
    vec *u = make_room(inputs + 1 + 3 * neurons), *dt = u + inputs * PARTS, *ground = dt + PARTS;
    if (u == NULL || s.sensory.scaled == NULL || s.recurrent.scaled == NULL)
        return close_both(&s, u, 1);
    vec *v = ground + 2 * n, *kept = kept_of(sizes, arrays, index);
    const real *capacity = arrays[CAPACITY];
    gather(b, neurons, arrays[V], v);
    for (int64_t t = 0; t < sizes[STEPS]; t++)
    {
        gather(b, inputs, arrays[U] + t * b.batch * inputs, u);
        gather(b, 1, arrays[DT] + t * b.batch, dt);
        for (int64_t k = 0; k < 2 * neurons; k++)
            EACH(p) ground[k * PARTS + p] = arrays[LEAK][k] + (vec){0};
        add_sums(neurons, &s.sensory, u, ground);
        for (int64_t unfold = 0; unfold < sizes[UNFOLDS]; unfold++, kept += UNFOLD(neurons))
        {
            vec *current = kept + n, *conductance = current + n;
            memcpy(kept, v, (size_t)n * sizeof(vec));
            memcpy(current, ground, (size_t)(2 * n) * sizeof(vec));
            add_sums(neurons, &s.recurrent, kept, current);
            for (int64_t j = 0; j < neurons; j++)
                EACH(p)
                {
                    const int64_t k = j * PARTS + p;
                    v[k] = (capacity[j] * v[k] + dt[p] * current[k])
                           / (capacity[j] + dt[p] * conductance[k]);
                }
        }
        scatter(b, neurons, v, arrays[STATES] + t * b.batch * neurons);
    }
    return close_both(&s, u, 0);
}

/* One unfold back: delta is dL/dv' and becomes dL/dv; dL/d(sums) into `into`. */
static void unfold_back(
    int64_t neurons, const real *capacity, const vec *dt, const vec *kept, const vec *after,
    vec *delta, vec *into, vec *into_dt, vec *into_capacity)
{
    const int64_t n = neurons * PARTS;
    for (int64_t j = 0; j < neurons; j++)
        EACH(p)
        {
            const int64_t k = j * PARTS + p;
            const vec conductance = kept[2 * n + k];
            const vec share = delta[k] / (capacity[j] + dt[p] * conductance);
            into_dt[p] += share * (kept[n + k] - after[k] * conductance);
            into_capacity[j] += share * (kept[k] - after[k]);
            into[k] = share * dt[p];
            into[n + k] = -into[k] * after[k];
            delta[k] = share * capacity[j];
        }
}

static void write_sums(int64_t count, const vec *sums, real *out)
{
    for (int64_t k = 0; k < count; k++)
        out[k] = sum_of(sums[k]);
}

/* INTO_CELL: capacity (N), leak (2 N), factors of the sensory and of the recurrent synapses */
int ltc_backward(
    const int64_t *sizes, real *const *arrays, int64_t index, const int64_t *wiring)
{
    const struct block b = block_of(index, sizes[BATCH]);
    const int64_t neurons = sizes[NEURONS], inputs = sizes[INPUTS], n = neurons * PARTS;
    const int64_t cell = 3 * neurons + FACTORS * (sizes[SENSORY] + sizes[RECURRENT]);
    struct both s = both_of(sizes, wiring, arrays);
    vec *room = make_room(2 * inputs + 2 + 6 * neurons + cell);
    if (room == NULL || s.sensory.scaled == NULL || s.recurrent.scaled == NULL)
        return close_both(&s, room, 1);
    vec *u = room, *into_u = u + inputs * PARTS;
    vec *dt = into_u + inputs * PARTS, *into_dt = dt + PARTS;
    vec *delta = into_dt + PARTS, *after = delta + n, *into = after + n, *ground = into + 2 * n;
    vec *into_capacity = ground + 2 * n, *into_leak = into_capacity + neurons;
    vec *into_sensory = into_leak + 2 * neurons;
    vec *into_recurrent = into_sensory + FACTORS * sizes[SENSORY];
    memset(into_capacity, 0, (size_t)cell * sizeof(vec));
    memset(delta, 0, (size_t)n * sizeof(vec));
    const vec *kept = kept_of(sizes, arrays, index + 1); /* the end of this block's */
    for (int64_t t = sizes[STEPS] - 1; t >= 0; t--)
    {
        gather(b, inputs, arrays[U] + t * b.batch * inputs, u);
        gather(b, 1, arrays[DT] + t * b.batch, dt);
        gather(b, neurons, arrays[STATES] + t * b.batch * neurons, after);
        gather_more(b, neurons, arrays[INTO_STATES] + t * b.batch * neurons, delta);
        memset(into_dt, 0, PARTS * sizeof(vec));
        memset(ground, 0, (size_t)(2 * n) * sizeof(vec));
        for (int64_t unfold = 0; unfold < sizes[UNFOLDS]; unfold++)
        {
            kept -= UNFOLD(neurons);
            unfold_back(neurons, arrays[CAPACITY], dt, kept, after, delta, into, into_dt,
                        into_capacity);
            sums_back(neurons, &s.recurrent, kept, into, delta, into_recurrent);
            for (int64_t k = 0; k < 2 * n; k++)
                ground[k] += into[k];
            memcpy(after, kept, (size_t)n * sizeof(vec));
        }
        memset(into_u, 0, (size_t)(inputs * PARTS) * sizeof(vec));
        sums_back(neurons, &s.sensory, u, ground, into_u, into_sensory);
        for (int64_t k = 0; k < 2 * neurons; k++)
            EACH(p) into_leak[k] += ground[k * PARTS + p];
        scatter(b, inputs, into_u, arrays[INTO_U] + t * b.batch * inputs);
        scatter(b, 1, into_dt, arrays[INTO_DT] + t * b.batch);
    }
    scatter(b, neurons, delta, arrays[INTO_V]);
    write_sums(cell, into_capacity, arrays[INTO_CELL] + index * cell);
    return close_both(&s, room, 0);
}
