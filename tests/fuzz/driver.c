/* Stands in for libFuzzer where there is none, with the same options and the same last line.
 *
 * Usage: fuzz [-runs=N] [-seed=N] [-max_len=N] [-max_total_time=SECONDS] FILE...
 * Runs each file, then mutations of them: equal seeds, equal inputs. What fails is left in ./crash.
 */
#include <signal.h>
#include <time.h>

#include "harness.h"

#define MOST_FILES 4096U
#define LONGEST 4096U

typedef struct
{
    uint8_t bytes[LONGEST];
    size_t  size;
} blob_t;

static blob_t        seeds[MOST_FILES];
static uint32_t      seed_count;
static blob_t        input;
static uint64_t      noise;
static unsigned long longest = 512;

static uint32_t random_word(void)
{
    noise ^= noise << 13;
    noise ^= noise >> 7;
    noise ^= noise << 17;
    return (uint32_t) (noise >> 16);
}

/* ASan, UBSan and claims all end in abort(). */
static void keep(const int number)
{
    FILE *const file = fopen("crash", "wb");
    if (file != NULL)
    {
        (void) fwrite(input.bytes, 1U, input.size, file);
        (void) fclose(file);
    }
    (void) signal(number, SIG_DFL);
    (void) raise(number);
}

static void insert(const uint8_t *from, const size_t count, const size_t at)
{
    const size_t room = (count < longest - input.size) ? count : (longest - input.size);
    (void) memmove(&input.bytes[at + room], &input.bytes[at], input.size - at);
    (void) memmove(&input.bytes[at], from, room);
    input.size += room;
}

static void mutate(void)
{
    static const uint8_t telling[] = {0x00, 0x01, 0x7F, 0x80, 0xFF, 0xFE};
    const blob_t *const  other     = &seeds[random_word() % seed_count];
    const size_t         at        = random_word() % (input.size + 1U);
    const size_t         from      = random_word() % (other->size + 1U);
    uint8_t              some[8];
    for (uint32_t i = 0; i < sizeof some; i++)
    {
        some[i] = (uint8_t) ((random_word() % 2U == 0U) ? random_word() : telling[random_word() % sizeof telling]);
    }
    switch (random_word() % 5U)
    {
        case 0: insert(some, 1U + random_word() % sizeof some, at); break;
        case 1: insert(&other->bytes[from], other->size - from, at); break;
        case 2:
        {
            const size_t gone = random_word() % (input.size - at + 1U);
            (void) memmove(&input.bytes[at], &input.bytes[at + gone], input.size - at - gone);
            input.size -= gone;
            break;
        }
        case 3:
            if (at < input.size)
            {
                input.bytes[at] = some[0];
            }
            break;
        default:
            if (at < input.size)
            {
                input.bytes[at] ^= (uint8_t) (1U << (random_word() % 8U));
            }
            break;
    }
}

static void load(const char *path)
{
    FILE *const file = fopen(path, "rb");
    if ((file == NULL) || (seed_count == MOST_FILES))
    {
        (void) fprintf(stderr, "cannot take %s\n", path);
        exit(2);
    }
    seeds[seed_count].size = fread(seeds[seed_count].bytes, 1U, longest, file);
    (void) fclose(file);
    seed_count++;
}

static unsigned long option(const char *text, const char *name, const unsigned long otherwise)
{
    const size_t length = strlen(name);
    return (strncmp(text, name, length) == 0) ? strtoul(&text[length], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    unsigned long runs    = 100000;
    unsigned long seed    = 1;
    unsigned long seconds = 3600;
    for (int i = 1; i < argc; i++)
    {
        runs    = option(argv[i], "-runs=", runs);
        seed    = option(argv[i], "-seed=", seed);
        seconds = option(argv[i], "-max_total_time=", seconds);
        longest = option(argv[i], "-max_len=", longest);
    }
    longest = (longest < LONGEST) ? longest : LONGEST;
    for (int i = 1; i < argc; i++)
    {
        if (argv[i][0] != '-')
        {
            load(argv[i]);
        }
    }
    seed_count = (seed_count == 0U) ? 1U : seed_count;
    noise      = seed * 2U + 1U;
    (void) signal(SIGABRT, keep);
    const time_t  start = time(NULL);
    unsigned long done  = 0;
    while ((done < runs) && (time(NULL) < start + (time_t) seconds))
    {
        input = seeds[(done < seed_count) ? done : (random_word() % seed_count)];
        for (uint32_t i = 0; (done >= seed_count) && (i < 1U + random_word() % 8U); i++)
        {
            mutate();
        }
        (void) LLVMFuzzerTestOneInput(input.bytes, input.size);
        done++;
    }
    (void) fprintf(stderr, "Done %lu runs in %lu second(s)\n", done, (unsigned long) (time(NULL) - start));
    return 0;
}
