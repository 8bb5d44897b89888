// What compiled kernels and the runtime that runs them know of each other.
#pragma once

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};

extern dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulation {

// ---------------------------------------------------------------------------------------- for kernels: runtime.cpp

// The operations for which the lanes of a warp wait for each other.
enum class Exchange { synchronize, shuffle, ballot };

void barrier(int line);

// Waits until every lane that `mask` names has called it. Then: what lane `source` brought; or, of a ballot, a bit
// for each lane that brought something other than 0.
unsigned long long exchange(Exchange what, unsigned mask, unsigned long long brought, int source, int line);

int lane();

// The block's dynamic shared memory. It ends where a page begins that cannot be touched.
extern char* dynamic_shared;

// ------------------------------------------------------------------------------------------ for launches: launch.cpp

struct Section {  // static shared memory
    char *start, *stop;
};

struct Parameter {
    char kind;         // NumPy's letter (b, i, u, f), or p for a pointer, s for a structure, v for void
    char of;           // a pointer: the kind of what it points to
    bool is_constant;  // a pointer: whether that is constant
    int size;          // bytes of the number, or of what the pointer points to
};

struct Kernel {
    void (*call)(void* const* arguments);  // the arguments as CUDA's launch takes them: pointers to each
    const Parameter* parameters;
    int parameter_count;
};

enum class Order { forward, reverse, shuffled };

struct Launch {
    const Kernel* kernel;
    void* const* arguments;
    dim3 grid, block;
    long long shared_bytes;  // dynamic shared memory
    const Section* sections;
    int section_count;
    Order order;  // of blocks, and of threads wherever several could go on
    unsigned seed;
};

struct Failure {
    char message[400];
    dim3 block, thread;
    const void* address;  // of an access that was refused, else null
};

// Runs the current block (blockIdx) to its end.
void run_block(const Launch& launch);

// Forgets a block that was left in the middle.
void abandon_block();

// Numbers 0 … count - 1 in the launch's order.
void put_in_order(int* numbers, int count);

// Ends the launch: the message goes to Python.
[[noreturn]] void fail(const char* format, ...);

}  // namespace emulation
