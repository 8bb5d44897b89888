// CUDA C++ for the host's compiler: stands before a preprocessed `.cu` source, which follows unchanged but for its
// shared memory (see source.py).
#pragma once

#include <math.h>
#include <string.h>

#include <utility>

#include "half_conversion.h"
#include "runtime.h"
#include "vectors.h"

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))

#define __syncthreads() ::emulation::barrier(__LINE__)
#define __syncwarp(...) ::emulation::synchronize_warp(__LINE__, ##__VA_ARGS__)
#define __shfl_sync(...) ::emulation::shuffle(__LINE__, __VA_ARGS__)
#define __shfl_down_sync(...) ::emulation::shuffle_down(__LINE__, __VA_ARGS__)
#define __shfl_up_sync(...) ::emulation::shuffle_up(__LINE__, __VA_ARGS__)
#define __shfl_xor_sync(...) ::emulation::shuffle_xor(__LINE__, __VA_ARGS__)
#define __ballot_sync(mask, vote) ::emulation::ballot(__LINE__, mask, vote)
#define __any_sync(mask, vote) (::emulation::ballot(__LINE__, mask, vote) != 0)
#define __all_sync(mask, vote) (::emulation::ballot(__LINE__, mask, !(vote)) == 0)
#define __threadfence() ((void)0)
#define __threadfence_block() ((void)0)

constexpr int warpSize = 32;

// ------------------------------------------------------------------------------------------------------- warps

namespace emulation {

inline void synchronize_warp(int line, unsigned mask = ~0u) { exchange(Exchange::synchronize, mask, 0, 0, line); }

inline unsigned ballot(int line, unsigned mask, int vote) {
    return unsigned(exchange(Exchange::ballot, mask, vote != 0, 0, line));
}

template <class V>
V shuffle_from(int line, unsigned mask, V value, int source) {
    static_assert(sizeof(V) <= 8, "shuffles move 8 bytes at most");
    unsigned long long bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = exchange(Exchange::shuffle, mask, bits, source, line);
    memcpy(&value, &bits, sizeof value);
    return value;
}

// Lanes are counted within parts of `width`: CUDA C++ programming guide, "Warp shuffle functions".
template <class V>
V shuffle(int line, unsigned mask, V value, int source, int width = 32) {
    return shuffle_from(line, mask, value, (lane() & -width) + (source & (width - 1)));
}

template <class V>
V shuffle_down(int line, unsigned mask, V value, unsigned delta, int width = 32) {
    const int self = lane();
    const bool stays = (self & (width - 1)) + int(delta) >= width;
    return shuffle_from(line, mask, value, stays ? self : self + int(delta));
}

template <class V>
V shuffle_up(int line, unsigned mask, V value, unsigned delta, int width = 32) {
    const int self = lane();
    const bool stays = (self & (width - 1)) < int(delta);
    return shuffle_from(line, mask, value, stays ? self : self - int(delta));
}

template <class V>
V shuffle_xor(int line, unsigned mask, V value, int bits, int width = 32) {
    const int self = lane(), source = self ^ bits;
    // A source in a later part gives the lane its own value; one in an earlier part can be read.
    return shuffle_from(line, mask, value, source >= (self & -width) + width ? self : source);
}

// ------------------------------------------------------------------------------------------------- arguments

template <class V>
struct Kind {
    static constexpr char value = __is_class(V) ? 's' : '?';
    static constexpr int size = sizeof(V);
};
template <class V>
struct Kind<V*> {
    static constexpr char value = 'p';
    static constexpr int size = sizeof(V*);
};
#define EMULATION_KIND(letter, type)                   \
    template <>                                        \
    struct Kind<type> {                                \
        static constexpr char value = letter;          \
        static constexpr int size = sizeof(type);      \
    };
EMULATION_KIND('b', bool)
EMULATION_KIND('i', char)
EMULATION_KIND('i', signed char)
EMULATION_KIND('i', short)
EMULATION_KIND('i', int)
EMULATION_KIND('i', long)
EMULATION_KIND('i', long long)
EMULATION_KIND('u', unsigned char)
EMULATION_KIND('u', unsigned short)
EMULATION_KIND('u', unsigned int)
EMULATION_KIND('u', unsigned long)
EMULATION_KIND('u', unsigned long long)
EMULATION_KIND('f', float)
EMULATION_KIND('f', double)
template <>
struct Kind<void> {
    static constexpr char value = 'v';
    static constexpr int size = 1;
};

template <class V>
struct Described {
    static constexpr Parameter value = {Kind<V>::value, ' ', false, Kind<V>::size};
};
template <class V>
struct Described<V*> {
    static constexpr Parameter value = {'p', Kind<V>::value, false, Kind<V>::size};
};
template <class V>
struct Described<const V*> {
    static constexpr Parameter value = {'p', Kind<V>::value, true, Kind<V>::size};
};

template <class>
struct Signature;
template <class... Values>
struct Signature<void (*)(Values...)> {
    static constexpr Parameter parameters[sizeof...(Values) + 1] = {Described<Values>::value..., {}};
    static constexpr int count = sizeof...(Values);
};

template <auto function, class Numbers, class... Values>
struct Call;
template <auto function, int... numbers, class... Values>
struct Call<function, std::integer_sequence<int, numbers...>, Values...> {
    static void call(void* const* arguments) { function(*static_cast<Values*>(arguments[numbers])...); }
};

template <auto function, class... Values>
constexpr Kernel described(void (*)(Values...)) {
    return {Call<function, std::make_integer_sequence<int, sizeof...(Values)>, Values...>::call,
            Signature<void (*)(Values...)>::parameters, sizeof...(Values)};
}

}  // namespace emulation

#define EMULATION_KERNEL(name)                                               \
    extern "C" __attribute__((visibility("default")))                        \
    const ::emulation::Kernel emulation_kernel_##name = ::emulation::described<&name>(&name);

// The linker knows where a section starts and stops; weak, for unused shared memory leaves none.
#define EMULATION_SECTION(name)                                                                        \
    extern "C" __attribute__((weak)) char __start_shared_##name[], __stop_shared_##name[];             \
    extern "C" __attribute__((visibility("default")))                                                  \
    const ::emulation::Section emulation_section_##name = {__start_shared_##name, __stop_shared_##name};
