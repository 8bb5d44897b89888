// A launch: block after block, and the way out when something goes wrong.
//
// A wrong kernel shows itself by a signal (it touched a page that holds no array), by a check of the compiler's
// (-fsanitize, whose handlers stand here, so that no further library is needed) or by `fail` in runtime.cpp. All end
// with a jump to `emulation_launch`: nothing in a kernel has a destructor that would have to run.

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime.h"

namespace emulation {

namespace {

constexpr size_t most_shared = 256 * 1024;

sigjmp_buf way_out;
Failure failure;
Order order;
uint32_t random_state;

uint32_t random_number() {  // xorshift32: Marsaglia, "Xorshift RNGs" (2003)
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    return random_state ^= random_state << 5;
}

long long greatest_common_divisor(long long a, long long b) { return b ? greatest_common_divisor(b, a % b) : a; }

// The first byte behind the dynamic shared memory.
char* shared_end() {
    static char* end;
    if (!end) {
        const size_t page = sysconf(_SC_PAGESIZE);
        void* memory = mmap(nullptr, most_shared + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) fail("no memory for shared memory");
        end = static_cast<char*>(memory) + most_shared;
        mprotect(end, page, PROT_NONE);
    }
    return end;
}

void on_signal(int signal, siginfo_t* information, void* context) {
    const char* what = signal == SIGFPE ? "division of an integer by zero" : "access outside of all arrays";
#ifdef __x86_64__
    const bool is_write = static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_ERR] & 2;
    if (signal != SIGFPE) what = is_write ? "write outside of all arrays" : "read outside of all arrays";
#endif
    const char* address = static_cast<const char*>(information->si_addr);
    const bool is_shared = signal != SIGFPE && address >= shared_end() && address < shared_end() + 4096;
    snprintf(failure.message, sizeof failure.message, "%s%s", what,
             is_shared ? ": behind the dynamic shared memory" : "");
    failure.address = signal == SIGFPE || is_shared ? nullptr : address;
    siglongjmp(way_out, 1);
}

constexpr int signals[] = {SIGSEGV, SIGBUS, SIGFPE};

// Catches signals for as long as it lives: Python, and its faulthandler, get them back.
struct Catch {
    struct sigaction before[3];
    stack_t stack_before;

    Catch() {
        static char memory[64 * 1024];  // of the handler's own: the kernel's may be what overflowed
        stack_t stack = {};
        stack.ss_sp = memory;
        stack.ss_size = sizeof memory;
        sigaltstack(&stack, &stack_before);
        struct sigaction action = {};
        action.sa_sigaction = on_signal;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK;
        for (int i = 0; i < 3; ++i) sigaction(signals[i], &action, &before[i]);
    }

    ~Catch() {
        for (int i = 0; i < 3; ++i) sigaction(signals[i], &before[i], nullptr);
        sigaltstack(&stack_before, nullptr);
    }
};

void run(const Launch& launch) {
    char* end = shared_end();
    if (launch.shared_bytes > (long long)most_shared) fail("%lld bytes of shared memory", launch.shared_bytes);
    dynamic_shared = end - (launch.shared_bytes + 15) / 16 * 16;
    const dim3 grid = gridDim = launch.grid;
    blockDim = launch.block;
    const long long blocks = 1ll * grid.x * grid.y * grid.z;
    // In shuffled order: from any block on, by a step that has no divisor in common with their number.
    long long number = 0, step = 1;
    if (launch.order == Order::reverse) number = blocks - 1, step = blocks - 1;
    if (launch.order == Order::shuffled) {
        number = random_number() % blocks;
        do step = random_number() % blocks;
        while (blocks > 1 && greatest_common_divisor(step, blocks) != 1);
    }
    for (long long i = 0; i < blocks; ++i, number = (number + step) % blocks) {
        blockIdx = {unsigned(number % grid.x), unsigned(number / grid.x % grid.y), unsigned(number / grid.x / grid.y)};
        memset(dynamic_shared, 0xFF, end - dynamic_shared);
        for (int s = 0; s < launch.section_count; ++s) {
            memset(launch.sections[s].start, 0xFF, launch.sections[s].stop - launch.sections[s].start);
        }
        run_block(launch);
    }
}

}  // namespace

void put_in_order(int* numbers, int count) {
    for (int i = 0; i < count; ++i) numbers[i] = order == Order::reverse ? count - 1 - i : i;
    if (order != Order::shuffled) return;
    for (int i = count - 1; i > 0; --i) {
        const int j = random_number() % (i + 1), number = numbers[i];
        numbers[i] = numbers[j];
        numbers[j] = number;
    }
}

void fail(const char* format, ...) {
    va_list values;
    va_start(values, format);
    vsnprintf(failure.message, sizeof failure.message, format, values);
    va_end(values);
    failure.address = nullptr;
    siglongjmp(way_out, 1);
}

}  // namespace emulation

// ---------------------------------------------------------------------------------------------- called from Python

extern "C" __attribute__((visibility("default"))) const emulation::Failure* emulation_launch(
    const emulation::Launch* launch) {
    using namespace emulation;
    const Catch signals_are_caught;
    order = launch->order;
    random_state = launch->seed | 1;
    if (sigsetjmp(way_out, 1)) {
        failure.block = blockIdx;
        failure.thread = threadIdx;
        abandon_block();
        return &failure;
    }
    run(*launch);
    return nullptr;
}

// ------------------------------------------------------------------------------- called by the compiler's checks

namespace {

struct Place {  // how -fsanitize tells where a check stands
    const char* file;
    uint32_t line, column;
};

[[noreturn]] void refuse(const char* what, const void* data) {
    const Place* place = static_cast<const Place*>(data);
    emulation::fail("%s, %s:%u", what, place->file, place->line);
}

}  // namespace

#define EMULATION_CHECK(name, what, ...)                                                                 \
    extern "C" __attribute__((visibility("default"))) void __ubsan_handle_##name(void* data, __VA_ARGS__) { \
        refuse(what, data);                                                                              \
    }

EMULATION_CHECK(out_of_bounds, "index outside of an array of fixed size", void*)
EMULATION_CHECK(type_mismatch_v1, "access at an address that is not aligned for its type", void*)
EMULATION_CHECK(add_overflow, "overflow of a signed integer (+)", void*, void*)
EMULATION_CHECK(sub_overflow, "overflow of a signed integer (-)", void*, void*)
EMULATION_CHECK(mul_overflow, "overflow of a signed integer (*)", void*, void*)
EMULATION_CHECK(negate_overflow, "overflow of a signed integer (-)", void*)
EMULATION_CHECK(divrem_overflow, "division of an integer by zero, or overflow", void*, void*)
EMULATION_CHECK(shift_out_of_bounds, "shift by a negative number or by too many bits", void*, void*)
