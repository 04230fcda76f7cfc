/*
 * Hot path of the virtual board: counts retired instructions per basic block, stops the engine at
 * the next event, and checks what the engine does not. Compiled at first use by
 * compiled_counter.py; counter_state.py holds the same structures, and python_counter.py is a
 * slower twin with the same counts. A block of a routine that operators share is counted for each
 * of them: the one that ran last owns it. Does not link the engine: its functions come in as
 * pointers.
 */
#include <stdint.h>

#define BLOCKS (1u << 16)
#define NO_BLOCK 0xFFFFFFFFu
#define CYCCNT 4u /* in its page */

enum { STOP_NONE, STOP_EVENT, STOP_GUARD, STOP_SCAN, STOP_FULL };
enum { CHECK_ALIGNED = 1, CHECK_DIVISOR = 2, CHECK_FPU_ON = 3, CHECK_NEVER = 4, CHECK_NOTED = 5 };
enum { HAS_FPU = 1, FPU_GUARDED = 2, MISALIGNED = 4, IS_SHARED = 8 };

typedef struct
{
    uint32_t address, size, owner, function, instructions, flags;
    uint32_t aligned, unused; /* registers that hold addresses of words, one bit each */
    uint64_t count;
} block_t;

typedef struct guard guard_t;

typedef struct
{
    uint64_t retired, stop_at, zero_at;
    uint32_t request, stopped, fpu_off, trap_division, watch, last, used, guard_address, guard_check,
        noted, is_counting, owner;
    uint32_t masks[3];
    int32_t mask_registers[3], core_registers[16];
    int (*emu_stop)(void *engine);
    int (*reg_read)(void *engine, int register_id, void *value);
    int (*scan)(uint32_t index);
    void (*guard_hit)(void);
    uint64_t (*load)(void *engine, uint64_t offset, unsigned width, void *user);
    const guard_t *noting;
    block_t blocks[BLOCKS];
} counter_t;

/* Of a noted access: `rest` instructions of `block` had not run before it. */
struct guard
{
    counter_t *counter;
    int32_t register_id;
    uint32_t mask, check, block, rest;
};

uint64_t counter_size(void)
{
    return sizeof(counter_t);
}

static void stop(void *engine, counter_t *c, uint32_t reason)
{
    c->stopped = reason;
    (void)c->emu_stop(engine);
}

/* An interrupt waits behind PRIMASK, BASEPRI or FAULTMASK: has one of them changed? */
static int masks_changed(void *engine, const counter_t *c)
{
    for (int i = 0; i < 3; i++)
    {
        uint32_t value = 0;
        (void)c->reg_read(engine, c->mask_registers[i], &value);
        if (value != c->masks[i])
        {
            return 1;
        }
    }
    return 0;
}

static int misaligned(void *engine, const counter_t *c, uint32_t registers)
{
    for (int i = 0; registers >> i != 0u; i++)
    {
        uint32_t value = 0;
        if ((registers >> i & 1u) != 0u)
        {
            (void)c->reg_read(engine, c->core_registers[i], &value);
        }
        if ((value & 3u) != 0u)
        {
            return 1;
        }
    }
    return 0;
}

static uint32_t find(counter_t *c, uint32_t address, uint32_t size, uint32_t owner)
{
    uint32_t h = (((address >> 1) ^ (owner << 8)) * 2654435761u) >> 16;
    while (c->blocks[h].size != 0u && (c->blocks[h].address != address || c->blocks[h].size != size || c->blocks[h].owner != owner))
    {
        h = (h + 1u) & (BLOCKS - 1u);
    }
    return h;
}

/* Whether a block is known, with what must be checked in it; else the engine stops. */
static int is_ready(void *engine, counter_t *c, uint32_t h, uint32_t address, uint32_t size, uint32_t owner)
{
    block_t *b = &c->blocks[h];
    int unguarded_fpu = c->fpu_off != 0u && (b->flags & (HAS_FPU | FPU_GUARDED)) == HAS_FPU;
    if (b->size != 0u && !unguarded_fpu)
    {
        return 1;
    }
    if (b->size == 0u)
    {
        if (c->used >= BLOCKS / 4u * 3u)
        {
            stop(engine, c, STOP_FULL);
            return 0;
        }
        b->address = address;
        b->size = size;
        b->owner = owner;
        c->used++;
    }
    if (c->scan(h) != 0)
    {
        stop(engine, c, STOP_SCAN);
        return 0;
    }
    return 1;
}

/* Called before a block runs; a block that is stopped here has not run and is not charged. */
void counter_on_block(void *engine, uint64_t address, uint32_t size, void *user)
{
    counter_t *c = user;
    if (c->request != 0u || c->retired >= c->stop_at || (c->watch != 0u && masks_changed(engine, c)))
    {
        stop(engine, c, STOP_EVENT);
        return;
    }
    uint32_t h = find(c, (uint32_t)address, size, 0u);
    int ready = is_ready(engine, c, h, (uint32_t)address, size, 0u);
    if (ready && (c->blocks[h].flags & IS_SHARED) != 0u && c->owner != 0u)
    {
        h = find(c, (uint32_t)address, size, c->owner);
        ready = is_ready(engine, c, h, (uint32_t)address, size, c->owner);
    }
    if (!ready)
    {
        return;
    }
    block_t *b = &c->blocks[h];
    if (b->aligned != 0u && misaligned(engine, c, b->aligned))
    {
        b->flags |= MISALIGNED;
        (void)c->scan(h);
        stop(engine, c, STOP_SCAN);
        return;
    }
    c->owner = b->function != 0u ? b->function : c->owner;
    b->count++;
    c->retired += b->instructions;
    c->last = h;
}

/* Called before a guarded instruction runs. In an IT block the engine stops only behind it. */
void counter_on_guard(void *engine, uint64_t address, uint32_t size, void *user)
{
    const guard_t *g = user;
    counter_t *c = g->counter;
    uint32_t value = 0;
    int hit = g->check == CHECK_NEVER;
    (void)size;
    if (g->check == CHECK_NOTED)
    {
        c->noted = (uint32_t)address;
        c->noting = g;
        return;
    }
    if (c->stopped == STOP_GUARD)
    {
        return;
    }
    if (g->check == CHECK_FPU_ON)
    {
        hit = c->fpu_off != 0u;
    }
    else if (g->check == CHECK_ALIGNED || (g->check == CHECK_DIVISOR && c->trap_division != 0u))
    {
        (void)c->reg_read(engine, g->register_id, &value);
        hit = g->check == CHECK_ALIGNED ? (value & g->mask) != 0u : value == 0u;
    }
    if (hit)
    {
        c->guard_address = (uint32_t)address;
        c->guard_check = g->check;
        c->guard_hit();
        stop(engine, c, STOP_GUARD);
    }
}

/* A load from the page of CYCCNT: answered here where it is known how much of its block has run. */
uint64_t counter_on_load(void *engine, uint64_t offset, unsigned width, void *user)
{
    const counter_t *c = user;
    const guard_t *g = c->noting;
    if (offset == CYCCNT && width == 4u && c->is_counting != 0u && g != 0 && g->block == c->last &&
        c->last != NO_BLOCK)
    {
        return (uint32_t)(c->retired - g->rest - c->zero_at);
    }
    return c->load(engine, offset, width, user);
}
