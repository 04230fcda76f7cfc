/* Runs every form of the compiled recurrences on arrays of just the size that they may touch. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "real.h"

int64_t cfc_kept(const int64_t *sizes);
int cfc_forward(const int64_t *sizes, real *const *arrays, int64_t index);
int cfc_backward(const int64_t *sizes, real *const *arrays, int64_t index);
int64_t ltc_kept(const int64_t *sizes);
int ltc_forward(const int64_t *sizes, real *const *arrays, int64_t index, const int64_t *wiring);
int ltc_backward(const int64_t *sizes, real *const *arrays, int64_t index, const int64_t *wiring);

static real *made(int64_t count)
{
    real *values = aligned_alloc(64, ((size_t)count * sizeof(real) + 63) / 64 * 64);
    /* a vector may reach the end of the last 64 bytes, nothing else */
    if (values == NULL)
        exit(2);
    for (int64_t k = 0; k < count; k++)
        values[k] = (real)(rand() % 2001 - 1000) / 500;
    return values;
}

static void drop(real **arrays, int count)
{
    for (int k = 0; k < count; k++)
        free(arrays[k]);
}

static void run_cfc(int64_t batch, int64_t layers, int64_t mode, int64_t activation, int64_t folded)
{
    const int64_t steps = 19, inputs = 3, hidden = 5, units = layers ? 9 : 0;
    const int64_t sizes[] = {
        batch, steps, inputs, hidden, layers, units, mode, activation, mode != 2, folded};
    const int64_t heads = hidden * (mode == 2 ? 1 : folded ? 3 : 4), first = layers ? units : heads;
    int64_t weights = first * (inputs + hidden + 1) + (mode == 2 ? 2 * hidden : 0);
    for (int64_t k = 1; k <= layers; k++)
        weights += (k < layers ? units : heads) * (units + 1);
    const int64_t blocks = (batch + LANES - 1) / LANES;
    const int64_t counts[] = {
        steps * batch * inputs, batch * hidden, steps * batch, 1, weights, steps * batch * hidden,
        blocks * cfc_kept(sizes), steps * batch * hidden, steps * batch * inputs, batch * hidden,
        steps * batch, blocks * weights};
    real *arrays[12];
    for (int k = 0; k < 12; k++)
        arrays[k] = made(counts[k]);
    for (int64_t k = 0; k < blocks; k++)
        if (cfc_forward(sizes, arrays, k) || cfc_backward(sizes, arrays, k))
            exit(3);
    drop(arrays, 12);
}

static void run_ltc(int64_t batch, int64_t inputs, int64_t neurons)
{
    const int64_t steps = 4, unfolds = 2;
    int64_t wiring[256], place = 0, counted[2] = {0, 0};
    for (int group = 0; group < 2; group++)
    {
        const int64_t sources = group ? neurons : inputs, begin = place;
        for (int64_t j = 0; j <= neurons; j++, place++)
            wiring[place] = j * (sources - 1); /* each neuron lacks one source */
        for (int64_t j = 0; j < neurons; j++)
            for (int64_t q = 0; q < sources - 1; q++)
                wiring[place++] = (q + j) % sources;
        counted[group] = wiring[begin + neurons];
    }
    const int64_t sizes[] = {batch, steps, inputs, neurons, unfolds, counted[0], counted[1]};
    const int64_t blocks = (batch + LANES - 1) / LANES, synapses = counted[0] + counted[1];
    const int64_t counts[] = {
        steps * batch * inputs, batch * neurons, steps * batch, neurons, 2 * neurons, 4 * synapses,
        steps * batch * neurons, blocks * ltc_kept(sizes), steps * batch * neurons,
        steps * batch * inputs, batch * neurons, steps * batch,
        blocks * (3 * neurons + 4 * synapses)};
    real *arrays[13];
    for (int k = 0; k < 13; k++)
        arrays[k] = made(counts[k]);
    for (int64_t k = 0; k < blocks; k++)
        if (ltc_forward(sizes, arrays, k, wiring) || ltc_backward(sizes, arrays, k, wiring))
            exit(3);
    drop(arrays, 13);
}

int main(void)
{
    int runs = 0;
    const int64_t batches[] = {1, 16, 21, 32};
    for (int b = 0; b < 4; b++)
    {
        for (int64_t layers = 0; layers < 3; layers++)
            for (int64_t mode = 0; mode < 3; mode++)
                for (int64_t activation = 0; activation < 4; activation++)
                    for (int64_t folded = 0; folded < (mode == 2 ? 1 : 2); folded++, runs++)
                        run_cfc(batches[b], layers, mode, activation, folded);
        for (int64_t inputs = 1; inputs < 4; inputs++)
            for (int64_t neurons = 1; neurons < 10; neurons += 2, runs++)
                run_ltc(batches[b], inputs, neurons);
    }
    printf("%d runs\n", runs);
    return 0;
}
