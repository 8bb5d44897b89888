// bfloat16, as far as kernels need it: a number in memory, converted to be computed with.
#pragma once

struct __nv_bfloat16 {
    unsigned short bits;
};
struct alignas(4) __nv_bfloat162 {
    __nv_bfloat16 x, y;
};

inline float __bfloat162float(__nv_bfloat16 a) { return ::emulation::float_from_bfloat16(a.bits); }
inline __nv_bfloat16 __float2bfloat16(float a) { return {::emulation::bfloat16_from_float(a)}; }
inline __nv_bfloat16 __float2bfloat16_rn(float a) { return {::emulation::bfloat16_from_float(a)}; }
inline float2 __bfloat1622float2(__nv_bfloat162 a) { return {__bfloat162float(a.x), __bfloat162float(a.y)}; }
inline __nv_bfloat162 __floats2bfloat162_rn(float x, float y) {
    return {__float2bfloat16_rn(x), __float2bfloat16_rn(y)};
}
inline __nv_bfloat162 __halves2bfloat162(__nv_bfloat16 x, __nv_bfloat16 y) { return {x, y}; }
inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 a) { return a.bits; }
inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short a) { return {a}; }

template <>
struct emulation::Kind<__nv_bfloat16> {
    static constexpr char value = 'B';
    static constexpr int size = 2;
};
