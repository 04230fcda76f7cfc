/* A CfC cell over a block of sequences and its gradient, as CfcScan of cfc_scan.py defines them. */

#include "lanes.h"

enum /* sizes */
{
    BATCH, STEPS, INPUTS, HIDDEN, LAYERS, UNITS, MODE, ACTIVATION, HAS_TANH, IS_FOLDED
};
enum /* arrays */
{
    X, H, DT, HEAD_SCALE, WEIGHTS, STATES, KEPT, INTO_STATES, INTO_X, INTO_H, INTO_DT, INTO_WEIGHTS
};
enum { DEFAULT, NO_GATE, PURE };
enum { TANH, RELU, SILU, GELU };

#define CHUNK 16 /* steps whose part of dL/d(weights) is summed at once */
#define MOST_LAYERS 16

/* One product: weight (rows, depth) and bias (rows), as they lie in WEIGHTS. */
struct product
{
    int64_t rows, depth, weight, bias;
};

struct cell
{
    const int64_t *sizes;
    int64_t heads, first_rows, step, made, weights;
    int64_t recur, rate; /* places in WEIGHTS */
    int keeps_slope;
    struct product products[MOST_LAYERS + 1]; /* the last one makes the heads */
};

static struct cell cell_of(const int64_t *sizes)
{
    struct cell c = {.sizes = sizes};
    const int64_t hidden = sizes[HIDDEN], layers = sizes[LAYERS];
    c.heads = hidden * (sizes[MODE] == PURE ? 1 : sizes[IS_FOLDED] ? 3 : 4);
    c.keeps_slope = sizes[ACTIVATION] >= SILU;
    int64_t place = 0, depth = sizes[INPUTS];
    for (int64_t k = 0; k <= layers; k++)
    {
        struct product *p = &c.products[k];
        p->rows = k < layers ? sizes[UNITS] : c.heads;
        p->depth = depth;
        p->weight = place;
        place += p->rows * depth;
        if (k == 0)
        {
            c.recur = place;
            place += p->rows * hidden;
        }
        p->bias = place;
        place += p->rows;
        depth = sizes[UNITS];
    }
    c.rate = place;
    c.weights = place + (sizes[MODE] == PURE ? 2 * hidden : 0);
    c.made = layers * sizes[UNITS] + c.heads;
    c.step = hidden + c.made + (c.keeps_slope ? layers * sizes[UNITS] : 0);
    return c;
}

int64_t cfc_kept(const int64_t *sizes)
{
    const struct cell c = cell_of(sizes);
    return (c.step * sizes[STEPS] + sizes[HIDDEN]) * LANES;
}

/* out (tall) += w (tall, depth) in (depth), of 2 vectors or 1 */
INLINE void tile(
    const int tall, const int wide, int64_t depth, const real *w, int64_t down, int64_t along,
    const vec *in, vec *out)
{
    vec sums[TALL][2];
    UNROLL
    for (int r = 0; r < tall; r++)
        for (int p = 0; p < wide; p++)
            sums[r][p] = out[r * PARTS + p];
    for (int64_t d = 0; d < depth; d++)
    {
        UNROLL
        for (int r = 0; r < tall; r++)
            for (int p = 0; p < wide; p++)
                sums[r][p] += w[r * down + d * along] * in[d * PARTS + p];
    }
    UNROLL
    for (int r = 0; r < tall; r++)
        for (int p = 0; p < wide; p++)
            out[r * PARTS + p] = sums[r][p];
}

/* out (rows) += w in (depth), where w[r * down + d * along] is the weight of row r and input d */
static void add_product(
    int64_t rows, int64_t depth, const real *w, int64_t down, int64_t along, const vec *in,
    vec *out)
{
    enum { COLUMNS = PARTS % 2 ? 1 : 2 };
    for (int64_t p = 0; p < PARTS; p += COLUMNS)
    {
        int64_t r = 0;
        for (; r + TALL <= rows; r += TALL)
            tile(TALL, COLUMNS, depth, w + r * down, down, along, in + p, out + r * PARTS + p);
        for (; r + 4 <= rows; r += 4)
            tile(4, COLUMNS, depth, w + r * down, down, along, in + p, out + r * PARTS + p);
        for (; r < rows; r++)
            tile(1, COLUMNS, depth, w + r * down, down, along, in + p, out + r * PARTS + p);
    }
}

INLINE void outer_tile(
    const int tall, const int wide, int64_t steps, const vec *g, int64_t g_step, const vec *in,
    int64_t in_step, int64_t depth, real *out)
{
    vec sums[4][4] = {0};
    for (int64_t t = 0; t < steps; t++, g += g_step * PARTS, in += in_step * PARTS)
        EACH(p)
        {
            UNROLL
            for (int r = 0; r < tall; r++)
                for (int d = 0; d < wide; d++)
                    sums[r][d] += g[r * PARTS + p] * in[d * PARTS + p];
        }
    UNROLL
    for (int r = 0; r < tall; r++)
        for (int d = 0; d < wide; d++)
            out[r * depth + d] += sum_of(sums[r][d]);
}

/* out (rows, depth) += g (steps, rows) times in (steps, depth), summed over steps and lanes */
static void add_outer(
    int64_t steps, int64_t rows, int64_t depth, const vec *g, int64_t g_step, const vec *in,
    int64_t in_step, real *out)
{
#define OUTER(tall, wide)                                                                          \
    outer_tile(tall, wide, steps, g + r * PARTS, g_step, in + d * PARTS, in_step, depth,           \
               out + r * depth + d)
    int64_t r = 0, d;
    for (; r + 4 <= rows; r += 4)
    {
        for (d = 0; d + 4 <= depth; d += 4)
            OUTER(4, 4);
        for (; d < depth; d++)
            OUTER(4, 1);
    }
    for (; r < rows; r++)
    {
        for (d = 0; d + 4 <= depth; d += 4)
            OUTER(1, 4);
        for (; d < depth; d++)
            OUTER(1, 1);
    }
}

static void add_sums(int64_t steps, int64_t rows, const vec *g, int64_t g_step, real *out)
{
    for (int64_t r = 0; r < rows; r++)
    {
        vec sum = {0};
        for (int64_t t = 0; t < steps; t++)
            EACH(p) sum += g[(t * g_step + r) * PARTS + p];
        out[r] += sum_of(sum);
    }
}

static void set_rows(int64_t rows, const real *bias, vec *out)
{
    for (int64_t r = 0; r < rows; r++)
        EACH(p) out[r * PARTS + p] = bias[r] + (vec){0};
}

static void bend_tanh(int64_t count, vec *value)
{
    for (int64_t k = 0; k < count; k++)
        value[k] = tanh_of(value[k]);
}

static void bend_relu(int64_t count, vec *value)
{
    for (int64_t k = 0; k < count; k++)
    {
        vec x = value[k];
        for (int e = 0; e < PER; e++)
            x[e] = x[e] < 0 ? 0 : x[e]; /* a NaN stays one */
        value[k] = x;
    }
}

static void bend_silu(int64_t count, vec *value, vec *slope)
{
    for (int64_t k = 0; k < count; k++)
    {
        const vec x = value[k], s = sigmoid_of(x);
        value[k] = x * s;
        slope[k] = s + x * s * (1 - s);
    }
}

static void bend_gelu(int64_t count, vec *value, vec *slope)
{
    for (int64_t k = 0; k < count; k++)
    {
        const vec x = value[k], bell = exp2_of(x * x * (LOG2_E / -2)) * (real)0.3989422804014327;
        vec share;
        for (int e = 0; e < PER; e++)
            share[e] = (real)(0.5 + 0.5 * erf((double)x[e] * 0.7071067811865476));
        value[k] = x * share;
        slope[k] = share + x * bell;
    }
}

/* The activation in place, and its slope where that does not follow from the value. */
static void bend(int64_t activation, int64_t count, vec *value, vec *slope)
{
    switch (activation)
    {
    case TANH: bend_tanh(count, value); return;
    case RELU: bend_relu(count, value); return;
    case SILU: bend_silu(count, value, slope); return;
    default: bend_gelu(count, value, slope);
    }
}

static void bend_back(int64_t activation, int64_t count, const vec *value, const vec *slope, vec *g)
{
    for (int64_t k = 0; activation == TANH && k < count; k++)
        g[k] *= 1 - value[k] * value[k];
    for (int64_t k = 0; activation >= SILU && k < count; k++)
        g[k] *= slope[k];
    for (int64_t k = 0; activation == RELU && k < count; k++)
    {
        vec x = g[k], y = value[k];
        for (int e = 0; e < PER; e++)
            x[e] = y[e] > 0 ? x[e] : 0;
        g[k] = x;
    }
}

/* The heads of a gated form; a folded dt leaves no time. */
struct heads
{
    vec *f1, *f2, *time, *gate;
};

static struct heads heads_at(const struct cell *c, vec *first)
{
    const int64_t n = c->sizes[HIDDEN] * PARTS;
    return (struct heads){first, first + n, first + 2 * n, first + c->heads * PARTS - n};
}

/* h' of the heads' products, whose functions' values replace them */
static void combine(const struct cell *c, real scale, const vec *dt, vec *heads, vec *out)
{
    const int64_t n = c->sizes[HIDDEN] * PARTS;
    const struct heads s = heads_at(c, heads);
    if (c->sizes[HAS_TANH])
        bend_tanh(2 * n, s.f1);
    for (int64_t k = 0; !c->sizes[IS_FOLDED] && k < n; k++)
        s.gate[k] += s.time[k] * dt[k % PARTS];
    for (int64_t k = 0; k < n; k++)
        s.gate[k] = sigmoid_of(s.gate[k]);
    if (c->sizes[MODE] == NO_GATE)
        for (int64_t k = 0; k < n; k++)
            out[k] = (s.f1[k] + s.f2[k] * s.gate[k]) * scale;
    else
        for (int64_t k = 0; k < n; k++)
            out[k] = (s.f1[k] + (s.f2[k] - s.f1[k]) * s.gate[k]) * scale;
}

static void combine_pure(
    const struct cell *c, const real *weights, const vec *dt, const vec *heads, vec *out)
{
    const real *rate = weights + c->rate, *top = rate + c->sizes[HIDDEN];
    for (int64_t j = 0; j < c->sizes[HIDDEN]; j++)
        EACH(p)
        {
            const vec f = heads[j * PARTS + p], pace = rate[j] + abs_of(f);
            out[j * PARTS + p] = top[j] - top[j] * exp2_of(pace * dt[p] * -LOG2_E) * f;
        }
}

/* dL/d(heads' products) of dL/dh', and what comes to dt */
static void combine_back(
    const struct cell *c, real scale, const vec *dt, const vec *heads, const vec *delta, vec *into,
    vec *into_dt)
{
    const int64_t n = c->sizes[HIDDEN] * PARTS;
    const struct heads s = heads_at(c, (vec *)heads), to = heads_at(c, into);
    const int is_mixed = c->sizes[MODE] == DEFAULT;
    for (int64_t k = 0; k < n; k++)
    {
        const vec d = delta[k] * scale, f1 = s.f1[k], f2 = s.f2[k], g = s.gate[k];
        to.f1[k] = is_mixed ? d - d * g : d;
        to.f2[k] = d * g;
        to.gate[k] = d * g * (1 - g) * (is_mixed ? f2 - f1 : f2);
    }
    for (int64_t k = 0; c->sizes[HAS_TANH] && k < 2 * n; k++)
        to.f1[k] *= 1 - s.f1[k] * s.f1[k];
    for (int64_t k = 0; !c->sizes[IS_FOLDED] && k < n; k++)
    {
        to.time[k] = to.gate[k] * dt[k % PARTS];
        into_dt[k % PARTS] += to.gate[k] * s.time[k];
    }
}

/* the same in mode pure, and what comes to its rate and top */
static void combine_pure_back(
    const struct cell *c, const real *weights, const vec *dt, const vec *heads, const vec *delta,
    vec *into, vec *into_dt, real *into_weights)
{
    const int64_t size = c->sizes[HIDDEN];
    const real *rate = weights + c->rate, *top = rate + size;
    real *into_rate = into_weights + c->rate, *into_top = into_rate + size;
    for (int64_t j = 0; j < size; j++)
    {
        vec rates = {0}, tops = {0};
        EACH(p)
        {
            const vec f = heads[j * PARTS + p], d = delta[j * PARTS + p];
            const vec pace = rate[j] + abs_of(f), decay = exp2_of(pace * dt[p] * -LOG2_E);
            const vec driven = d * top[j] * decay;
            into[j * PARTS + p] = driven * (dt[p] * abs_of(f) - 1);
            into_dt[p] += driven * f * pace;
            rates += driven * f * dt[p];
            tops += d * (1 - decay * f);
        }
        into_rate[j] += sum_of(rates), into_top[j] += sum_of(tops);
    }
}

int cfc_forward(const int64_t *sizes, real *const *arrays, int64_t index)
{
    const struct cell c = cell_of(sizes);
    const struct block b = block_of(index, sizes[BATCH]);
    const int64_t hidden = sizes[HIDDEN], inputs = sizes[INPUTS], units = sizes[UNITS];
    const real *weights = arrays[WEIGHTS];
    vec *kept = (vec *)arrays[KEPT] + index * (cfc_kept(sizes) / LANES) * PARTS;
    vec *x = make_room(inputs + 1), *dt = x + inputs * PARTS;
    if (x == NULL)
        return 1;
    gather(b, hidden, arrays[H], kept);
    for (int64_t t = 0; t < sizes[STEPS]; t++, kept += c.step * PARTS)
    {
        vec *out = kept + hidden * PARTS, *slope = out + c.made * PARTS;
        const vec *in = x;
        gather(b, inputs, arrays[X] + t * b.batch * inputs, x);
        gather(b, 1, arrays[DT] + t * b.batch, dt);
        for (int64_t k = 0; k <= sizes[LAYERS]; k++)
        {
            const struct product *p = &c.products[k];
            set_rows(p->rows, weights + p->bias, out);
            add_product(p->rows, p->depth, weights + p->weight, p->depth, 1, in, out);
            if (k == 0)
                add_product(p->rows, hidden, weights + c.recur, hidden, 1, kept, out);
            if (k == sizes[LAYERS])
                break;
            bend(sizes[ACTIVATION], units * PARTS, out, slope);
            in = out;
            out += units * PARTS;
            slope += units * PARTS;
        }
        vec *next = kept + c.step * PARTS;
        if (sizes[MODE] == PURE)
            combine_pure(&c, weights, dt, out, next);
        else
            combine(&c, arrays[HEAD_SCALE][0], dt, out, next);
        scatter(b, hidden, next, arrays[STATES] + t * b.batch * hidden);
    }
    free(x);
    return 0;
}

/* One step back: dL/d(products) into g, dL/d(the state before) into delta. */
static void step_back(
    const struct cell *c, const real *weights, real scale, const vec *kept, const vec *dt,
    vec *delta, vec *g, vec *into_dt, real *into_weights)
{
    const int64_t *sizes = c->sizes, layers = sizes[LAYERS], span = sizes[UNITS] * PARTS;
    const vec *values = kept + sizes[HIDDEN] * PARTS, *slopes = values + c->made * PARTS;
    const vec *heads = values + layers * span;
    vec *into = g + layers * span;
    if (sizes[MODE] == PURE)
        combine_pure_back(c, weights, dt, heads, delta, into, into_dt, into_weights);
    else
        combine_back(c, scale, dt, heads, delta, into, into_dt);
    for (int64_t k = layers - 1; k >= 0; k--)
    {
        const struct product *p = &c->products[k + 1];
        vec *here = g + k * span;
        memset(here, 0, (size_t)span * sizeof(vec));
        add_product(p->depth, p->rows, weights + p->weight, 1, p->depth, here + span, here);
        bend_back(sizes[ACTIVATION], span, values + k * span, slopes + k * span, here);
    }
    memset(delta, 0, (size_t)(sizes[HIDDEN] * PARTS) * sizeof(vec));
    add_product(sizes[HIDDEN], c->products[0].rows, weights + c->recur, 1, sizes[HIDDEN], g, delta);
}

/* dL/d(weights) of the steps whose g and inputs are given, and of their kept values */
static void add_chunk(
    const struct cell *c, int64_t steps, const vec *g, const vec *x, const vec *kept, real *into)
{
    const int64_t *sizes = c->sizes, hidden = sizes[HIDDEN], units = sizes[UNITS];
    const struct product *first = &c->products[0];
    add_outer(steps, first->rows, first->depth, g, c->made, x, first->depth, into + first->weight);
    add_outer(steps, first->rows, hidden, g, c->made, kept, c->step, into + c->recur);
    add_sums(steps, first->rows, g, c->made, into + first->bias);
    for (int64_t k = 1; k <= sizes[LAYERS]; k++)
    {
        const struct product *p = &c->products[k];
        const vec *values = kept + (hidden + (k - 1) * units) * PARTS;
        g += units * PARTS;
        add_outer(steps, p->rows, p->depth, g, c->made, values, c->step, into + p->weight);
        add_sums(steps, p->rows, g, c->made, into + p->bias);
    }
}

int cfc_backward(const int64_t *sizes, real *const *arrays, int64_t index)
{
    const struct cell c = cell_of(sizes);
    const struct block b = block_of(index, sizes[BATCH]);
    const int64_t hidden = sizes[HIDDEN], inputs = sizes[INPUTS], first = c.products[0].rows;
    const real *weights = arrays[WEIGHTS];
    real *into = arrays[INTO_WEIGHTS] + index * c.weights;
    const vec *kept = (const vec *)arrays[KEPT] + index * (cfc_kept(sizes) / LANES) * PARTS;
    vec *x = make_room(CHUNK * (inputs + c.made) + inputs + hidden + 2);
    if (x == NULL)
        return 1;
    vec *g = x + CHUNK * inputs * PARTS, *into_x = g + CHUNK * c.made * PARTS;
    vec *delta = into_x + inputs * PARTS, *dt = delta + hidden * PARTS, *into_dt = dt + PARTS;
    memset(delta, 0, (size_t)(hidden * PARTS) * sizeof(vec));
    for (int64_t end = sizes[STEPS]; end > 0;)
    {
        const int64_t start = (end - 1) / CHUNK * CHUNK;
        for (int64_t t = end - 1; t >= start; t--)
        {
            vec *here = g + (t - start) * c.made * PARTS;
            gather(b, inputs, arrays[X] + t * b.batch * inputs, x + (t - start) * inputs * PARTS);
            gather(b, 1, arrays[DT] + t * b.batch, dt);
            gather_more(b, hidden, arrays[INTO_STATES] + t * b.batch * hidden, delta);
            memset(into_dt, 0, PARTS * sizeof(vec));
            step_back(&c, weights, arrays[HEAD_SCALE][0], kept + t * c.step * PARTS, dt, delta,
                      here, into_dt, into);
            scatter(b, 1, into_dt, arrays[INTO_DT] + t * b.batch);
            if (arrays[INTO_X] == NULL)
                continue;
            memset(into_x, 0, (size_t)(inputs * PARTS) * sizeof(vec));
            add_product(inputs, first, weights, 1, inputs, here, into_x);
            scatter(b, inputs, into_x, arrays[INTO_X] + t * b.batch * inputs);
        }
        add_chunk(&c, end - start, g, x, kept + start * c.step * PARTS, into);
        end = start;
    }
    scatter(b, hidden, delta, arrays[INTO_H]);
    free(x);
    return 0;
}
