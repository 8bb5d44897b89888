// Runs the threads of a block one by one, on one thread of the CPU.
//
// A fiber is a stack of its own. It runs one CUDA thread after the other, so a kernel in which no thread waits needs
// one fiber and no switch. Where a thread waits, at a barrier or for the lanes of its warp, its fiber rests with it
// and another goes on: first with threads that have not begun, then with those that need not wait any more. When
// nobody can go on, all threads must be waiting at one barrier, which then opens; anything else is an error.

#include "runtime.h"

#include <setjmp.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulation {

char* dynamic_shared;

namespace {

constexpr int most_threads = 1024;
constexpr int warp_size = 32;
constexpr size_t stack_bytes = 128 * 1024;

enum class State { waits_to_begin, runs, waits_at_barrier, waits_for_lanes, is_ready, has_ended };

struct Thread {
    State state;
    struct Fiber* fiber;  // where it waits
    int line;             // of the barrier or exchange
};

struct Fiber {
    jmp_buf context;
    char* stack;
    int thread;
};

struct Warp {
    unsigned alive;    // lanes that have not ended
    unsigned arrived;  // lanes that wait for others
    Exchange what;
    unsigned mask;
    int line;
    unsigned long long brought[warp_size], given[warp_size];
    int source[warp_size];
};

const Launch* launch;
int count, begun, alive, at_barrier;  // threads of the block
Thread threads[most_threads];
Warp warps[most_threads / warp_size];
int turns[most_threads];            // in which the threads begin
int ready[most_threads];            // threads that can go on: a ring, which holds each thread once at most
int ready_first, ready_count;

Fiber fibers[most_threads], main_fiber;
Fiber* idle[most_threads];
Fiber* current = &main_fiber;
int fiber_count, idle_count;
jmp_buf made;

dim3 thread_index(int thread) {
    const unsigned x = blockDim.x, y = blockDim.y;
    return {thread % x, thread / x % y, thread / x / y};
}

// ------------------------------------------------------------------------------------------- which fiber goes on

void work();

// makecontext gives a fiber its stack; all later switches are by setjmp, which makes no system call.
Fiber* new_fiber() {
    static ucontext_t context;
    Fiber* fiber = &fibers[fiber_count++];
    if (!fiber->stack) {
        const size_t page = sysconf(_SC_PAGESIZE);
        void* memory = mmap(nullptr, page + stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) fail("no memory for the stack of a thread");
        mprotect(memory, page, PROT_NONE);  // a stack grows down: it ends here
        fiber->stack = static_cast<char*>(memory) + page;
    }
    getcontext(&context);
    context.uc_stack.ss_sp = fiber->stack;
    // Stacks that start at different lines of the cache do not push one another out of it.
    context.uc_stack.ss_size = stack_bytes - (fiber - fibers) % 64 * 256;
    context.uc_link = nullptr;
    makecontext(&context, work, 0);
    if (_setjmp(made) == 0) setcontext(&context);
    return fiber;
}

void make_ready(int thread) {
    threads[thread].state = State::is_ready;
    ready[(ready_first + ready_count++) % most_threads] = thread;
}

// Nobody can go on. If all threads are at one barrier, it opens; else the kernel is wrong.
void open_barrier() {
    int first = -1;
    for (int i = 0; i < count; ++i) {
        const Thread& thread = threads[i];
        if (thread.state == State::has_ended) continue;
        threadIdx = thread_index(i);
        if (thread.state == State::waits_for_lanes) {
            fail("the thread waits at line %d for lanes of its warp that do not come", thread.line);
        }
        if (first < 0) first = i;
        if (thread.line != threads[first].line) {
            fail("threads of one block wait at different barriers, lines %d and %d", threads[first].line, thread.line);
        }
    }
    if (at_barrier != count) {
        threadIdx = thread_index(first);
        fail("%d of %d threads ended before the barrier at line %d, which the others reached", count - at_barrier,
             count, threads[first].line);
    }
    int order[most_threads];
    put_in_order(order, count);
    for (int i = 0; i < count; ++i) make_ready(order[i]);
    at_barrier = 0;
}

Fiber* next() {
    if (begun < count) return idle_count ? idle[--idle_count] : new_fiber();
    if (!ready_count) {
        if (!alive) return &main_fiber;
        open_barrier();
    }
    Thread& thread = threads[ready[ready_first]];
    ready_first = (ready_first + 1) % most_threads;
    --ready_count;
    thread.state = State::runs;
    return thread.fiber;
}

void switch_to(Fiber* target) {
    Fiber* self = current;
    if (target == self) return;
    if (_setjmp(self->context) == 0) {
        current = target;
        _longjmp(target->context, 1);
    }
}

// The current thread waits until another has made it ready.
void wait(State state, int line) {
    const int thread = current->thread;
    threads[thread] = {state, current, line};
    switch_to(next());
    threadIdx = thread_index(thread);
}

// ------------------------------------------------------------------------------------------------------- warps

// If every lane that was named has arrived or ended, gives each what it asked for.
bool complete(int number) {
    Warp& warp = warps[number];
    const unsigned arrived = warp.arrived;
    if (!arrived || (warp.mask & warp.alive & ~arrived)) return false;
    unsigned long long votes = 0;
    for (int i = 0; i < warp_size; ++i) {
        if (arrived >> i & 1 && warp.brought[i]) votes |= 1ull << i;
    }
    int lanes[warp_size];
    put_in_order(lanes, warp_size);
    for (int i : lanes) {
        if (!(arrived >> i & 1)) continue;
        // What a lane brought that is not there is as good as uninitialised.
        const bool has_source = arrived >> warp.source[i] & 1;
        warp.given[i] = warp.what == Exchange::ballot ? votes : has_source ? warp.brought[warp.source[i]] : ~0ull;
        const int thread = number * warp_size + i;
        if (threads[thread].state == State::waits_for_lanes) make_ready(thread);
    }
    warp.arrived = 0;
    return true;
}

// A fiber's life: threads from the first line to the last, then whatever else must go on.
void work() {
    Fiber* self = &fibers[fiber_count - 1];
    if (_setjmp(self->context) == 0) _longjmp(made, 1);
    for (;;) {
        while (begun < count) {
            const int thread = turns[begun++];
            self->thread = thread;
            threads[thread].state = State::runs;
            threadIdx = thread_index(thread);
            launch->kernel->call(launch->arguments);
            threads[thread].state = State::has_ended;
            --alive;
            warps[thread / warp_size].alive &= ~(1u << thread % warp_size);
            complete(thread / warp_size);
        }
        idle[idle_count++] = self;
        switch_to(next());
    }
}

}  // namespace

int lane() { return current->thread % warp_size; }

void barrier(int line) {
    ++at_barrier;
    wait(State::waits_at_barrier, line);
}

unsigned long long exchange(Exchange what, unsigned mask, unsigned long long brought, int source, int line) {
    const int thread = current->thread, number = thread / warp_size, lane = thread % warp_size;
    Warp& warp = warps[number];
    if (!(mask >> lane & 1)) fail("line %d: the mask %#x does not name the lane itself, %d", line, mask, lane);
    if (!warp.arrived) {
        warp.what = what;
        warp.mask = mask;
        warp.line = line;
    } else if (warp.what != what || warp.mask != mask || warp.line != line) {
        fail("lanes of one warp are at different exchanges: line %d with mask %#x, line %d with mask %#x", warp.line,
             warp.mask, line, mask);
    }
    warp.arrived |= 1u << lane;
    warp.brought[lane] = brought;
    warp.source[lane] = source;
    if (!complete(number)) wait(State::waits_for_lanes, line);
    return warp.given[lane];
}

void run_block(const Launch& its_launch) {
    launch = &its_launch;
    count = alive = blockDim.x * blockDim.y * blockDim.z;
    begun = at_barrier = ready_first = ready_count = 0;
    put_in_order(turns, count);
    for (int thread = 0; thread < count; ++thread) threads[thread].state = State::waits_to_begin;
    for (int first = 0; first < count; first += warp_size) {
        Warp& warp = warps[first / warp_size];
        warp.arrived = 0;
        warp.alive = count - first >= warp_size ? ~0u : (1u << (count - first)) - 1;
    }
    switch_to(next());
}

void abandon_block() {
    current = &main_fiber;
    fiber_count = idle_count = 0;
}

}  // namespace emulation
