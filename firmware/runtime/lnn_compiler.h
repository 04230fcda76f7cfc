/**
 * @file lnn_compiler.h
 * @brief What C11 and C++17 spell differently, and what a compiler must bring. Every file here is both.
 */
#ifndef LNN_COMPILER_H
#define LNN_COMPILER_H

#if defined(__BYTE_ORDER__) && (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__)
#error "the model's weights and states are little-endian: compile for a little-endian processor"
#endif

#ifdef __cplusplus
#define LNN_ALIGN(bytes) alignas(bytes)
#define LNN_STATIC_ASSERT static_assert
#else
#define LNN_ALIGN(bytes) _Alignas(bytes)
#define LNN_STATIC_ASSERT _Static_assert
#endif

#if defined(__GNUC__)
#define LNN_NOINLINE __attribute__((noinline))
#define LNN_COLD __attribute__((cold)) /* made small, since it runs once a decision or less */
#define LNN_INLINE static inline __attribute__((always_inline, no_instrument_function))
#define LNN_RESTRICT __restrict__
#else
#define LNN_NOINLINE
#define LNN_COLD
#define LNN_INLINE static inline
#define LNN_RESTRICT
#endif

LNN_STATIC_ASSERT((-3 >> 1) == -2, "right shifts of negative numbers must be arithmetic");

#endif
