// CUDA's vector types and number functions.
#pragma once

#include <math.h>
#include <string.h>

#define EMULATION_VECTORS(base, number)                                                              \
    struct alignas(sizeof(number)) base##1 { number x; };                                            \
    struct alignas(2 * sizeof(number)) base##2 { number x, y; };                                     \
    struct base##3 { number x, y, z; };                                                              \
    struct alignas(4 * sizeof(number) < 16 ? 4 * sizeof(number) : 16) base##4 { number x, y, z, w; }; \
    inline base##1 make_##base##1(number x) { return {x}; }                                          \
    inline base##2 make_##base##2(number x, number y) { return {x, y}; }                             \
    inline base##3 make_##base##3(number x, number y, number z) { return {x, y, z}; }                \
    inline base##4 make_##base##4(number x, number y, number z, number w) { return {x, y, z, w}; }

EMULATION_VECTORS(char, signed char)
EMULATION_VECTORS(uchar, unsigned char)
EMULATION_VECTORS(short, short)
EMULATION_VECTORS(ushort, unsigned short)
EMULATION_VECTORS(int, int)
EMULATION_VECTORS(uint, unsigned)
EMULATION_VECTORS(longlong, long long)
EMULATION_VECTORS(ulonglong, unsigned long long)
EMULATION_VECTORS(float, float)
EMULATION_VECTORS(double, double)

// Of two numbers, whichever types they have. As on the device, a number wins against NaN.
template <class X, class Y>
constexpr auto min(X x, Y y) -> decltype(x + y) {
    using Both = decltype(x + y);
    return Both(x) != Both(x) ? Both(y) : Both(y) < Both(x) ? Both(y) : Both(x);
}
template <class X, class Y>
constexpr auto max(X x, Y y) -> decltype(x + y) {
    using Both = decltype(x + y);
    return Both(x) != Both(x) ? Both(y) : Both(y) > Both(x) ? Both(y) : Both(x);
}

template <class V>
inline V __ldg(const V* address) {
    return *address;
}

// ----------------------------------------------------------------------------------------------------- integers

inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((unsigned long long)a * b >> 32); }
inline int __mulhi(int a, int b) { return int((long long)a * b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
inline int __popc(unsigned a) { return __builtin_popcount(a); }
inline int __popcll(unsigned long long a) { return __builtin_popcountll(a); }
inline int __clz(int a) { return a ? __builtin_clz(unsigned(a)) : 32; }
inline int __clzll(long long a) { return a ? __builtin_clzll((unsigned long long)a) : 64; }
inline int __ffs(int a) { return __builtin_ffs(a); }

// The bits of a number under another type.
template <class To, class From>
inline To emulation_bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}
inline int __float_as_int(float a) { return emulation_bits<int>(a); }
inline unsigned __float_as_uint(float a) { return emulation_bits<unsigned>(a); }
inline float __int_as_float(int a) { return emulation_bits<float>(a); }
inline float __uint_as_float(unsigned a) { return emulation_bits<float>(a); }
inline long long __double_as_longlong(double a) { return emulation_bits<long long>(a); }
inline double __longlong_as_double(long long a) { return emulation_bits<double>(a); }

// ------------------------------------------------------------------------------------------------ floating point

// The compiler contracts nothing here (-ffp-contract=off), so the plain operators round once, to nearest.
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline float __fsqrt_rn(float a) { return sqrtf(a); }
inline float __frcp_rn(float a) { return 1.0f / a; }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsub_rn(double a, double b) { return a - b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
inline double __dsqrt_rn(double a) { return sqrt(a); }

inline float rsqrtf(float a) { return 1.0f / sqrtf(a); }
inline double rsqrt(double a) { return 1.0 / sqrt(a); }
inline float rsqrt(float a) { return rsqrtf(a); }

// The device's fast approximations, here exact: their error is none of what the emulation can show.
inline float __expf(float a) { return expf(a); }
inline float __logf(float a) { return logf(a); }
inline float __sinf(float a) { return sinf(a); }
inline float __cosf(float a) { return cosf(a); }
inline float __powf(float a, float b) { return powf(a, b); }
inline float __fdividef(float a, float b) { return a / b; }

inline int __float2int_rn(float a) { return int(nearbyintf(a)); }
inline int __float2int_rz(float a) { return int(a); }
inline int __float2int_rd(float a) { return int(floorf(a)); }
inline float __int2float_rn(int a) { return float(a); }
inline float __uint2float_rn(unsigned a) { return float(a); }
inline float __double2float_rn(double a) { return float(a); }

// ------------------------------------------------------------------------------- atomic operations on integers

// Threads run one after the other here, so nothing needs to be atomic. Operations on floating-point numbers are left
// out on purpose: their result would depend on the order, and dlcore's results must repeat.
#define EMULATION_ATOMICS(type)                                                                              \
    inline type atomicAdd(type* address, type value) { const type old = *address; *address = old + value; return old; } \
    inline type atomicMax(type* address, type value) { const type old = *address; if (value > old) *address = value; return old; } \
    inline type atomicMin(type* address, type value) { const type old = *address; if (value < old) *address = value; return old; } \
    inline type atomicExch(type* address, type value) { const type old = *address; *address = value; return old; }

EMULATION_ATOMICS(int)
EMULATION_ATOMICS(unsigned)
EMULATION_ATOMICS(unsigned long long)
