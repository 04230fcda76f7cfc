/* What a stack protector and an unoptimized build call on a core without a C library. */
#include <stddef.h>
#include <stdint.h>

uintptr_t __stack_chk_guard = 0x5AFE57ACU;
void __stack_chk_fail(void);
void *memcpy(void *to, const void *from, size_t count);
void *memmove(void *to, const void *from, size_t count);
void *memset(void *to, int value, size_t count);

void __stack_chk_fail(void)
{
    for (;;)
    {
    }
}

__attribute__((used)) void *memcpy(void *to, const void *from, size_t count)
{
    for (size_t i = 0; i < count; i++)
    {
        ((volatile uint8_t *) to)[i] = ((const uint8_t *) from)[i];
    }
    return to;
}

__attribute__((used)) void *memmove(void *to, const void *from, size_t count)
{
    const uintptr_t distance = (uintptr_t) to - (uintptr_t) from;
    for (size_t i = 0; i < count; i++)
    {
        const size_t at              = (distance < count) ? (count - 1U - i) : i;
        ((volatile uint8_t *) to)[at] = ((const uint8_t *) from)[at];
    }
    return to;
}

__attribute__((used)) void *memset(void *to, int value, size_t count)
{
    for (size_t i = 0; i < count; i++)
    {
        ((volatile uint8_t *) to)[i] = (uint8_t) value;
    }
    return to;
}
