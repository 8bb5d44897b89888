// float16 and bfloat16 as bits, to and from float: what NumPy and ml_dtypes compute, bit by bit.
#pragma once

#include <string.h>

namespace emulation {

inline unsigned bits_of(float value) {
    unsigned bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

inline float from_bits(unsigned bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

// To nearest, ties to even, of a number of which the lowest `dropped` bits go.
inline unsigned rounded(unsigned bits, int dropped) {
    const unsigned half = 1u << (dropped - 1), odd = bits >> dropped & 1;
    return (bits + half - 1 + odd) >> dropped;
}

inline unsigned short half_from_float(float value) {
    const unsigned bits = bits_of(value), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7FFFFFFF;
    if (magnitude > 0x7F800000) {  // NaN keeps what fits of its payload, but must not become an infinity
        const unsigned payload = magnitude >> 13 & 0x3FF;
        return (unsigned short)(sign | 0x7C00 | (payload ? payload : 1));
    }
    if (magnitude >= 0x477FF000) return (unsigned short)(sign | 0x7C00);  // from 65520 on: infinity
    if (magnitude >= 0x38800000) return (unsigned short)(sign | rounded(magnitude - 0x38000000, 13));
    if (magnitude <= 0x33000000) return (unsigned short)sign;  // up to 2⁻²⁵, half of the smallest: zero
    // A subnormal: the fraction with its leading 1, moved to where 2⁻²⁴ is one.
    const int exponent = int(magnitude >> 23);
    return (unsigned short)(sign | rounded((magnitude & 0x7FFFFF) | 0x800000, 126 - exponent));
}

inline float float_from_half(unsigned short half) {
    const unsigned sign = unsigned(half & 0x8000) << 16, exponent = half >> 10 & 0x1F, fraction = half & 0x3FF;
    if (exponent == 0x1F) return from_bits(sign | 0x7F800000 | fraction << 13);
    if (exponent) return from_bits(sign | ((exponent + 112) << 23 | fraction << 13));
    const float magnitude = float(fraction) * 0x1p-24f;
    return from_bits(sign | bits_of(magnitude));
}

inline unsigned short bfloat16_from_float(float value) {
    const unsigned bits = bits_of(value);
    if ((bits & 0x7FFFFFFF) > 0x7F800000) return (unsigned short)((bits >> 16 & 0x8000) | 0x7FC0);
    return (unsigned short)rounded(bits, 16);
}

inline float float_from_bfloat16(unsigned short bfloat16) { return from_bits(unsigned(bfloat16) << 16); }

}  // namespace emulation
