// float16, as far as kernels need it: a number in memory, converted to be computed with.
#pragma once

struct __half {
    unsigned short bits;
};
struct alignas(4) __half2 {
    __half x, y;
};
typedef __half half;
typedef __half2 half2;

inline float __half2float(__half a) { return ::emulation::float_from_half(a.bits); }
inline __half __float2half(float a) { return {::emulation::half_from_float(a)}; }
inline __half __float2half_rn(float a) { return {::emulation::half_from_float(a)}; }
inline float2 __half22float2(__half2 a) { return {__half2float(a.x), __half2float(a.y)}; }
inline __half2 __floats2half2_rn(float x, float y) { return {__float2half_rn(x), __float2half_rn(y)}; }
inline __half2 __halves2half2(__half x, __half y) { return {x, y}; }
inline unsigned short __half_as_ushort(__half a) { return a.bits; }
inline __half __ushort_as_half(unsigned short a) { return {a}; }

template <>
struct emulation::Kind<__half> {
    static constexpr char value = 'f';
    static constexpr int size = 2;
};
