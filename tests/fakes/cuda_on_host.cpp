// The parts of a GPU that workloads/qnn/cuda/_binary_source.py uses, for a host compiler: the kernels run as they are.
//
// A block's lanes are fibers that take turns in an order drawn at random, so that a missing barrier shows. What a warp
// does together waits for all 32 lanes. Asynchronous copies happen as late as they may: when they are waited for.
// The matrix instruction follows the tables of the PTX ISA ("Matrix Fragments for mma.m16n8k256", .b1).
#include <math.h>
#include <string.h>
#include <ucontext.h>
#include <algorithm>
#include <deque>
#include <vector>

#define __device__ static
#define __global__
#define __shared__ static
#define __forceinline__ inline
#define __launch_bounds__(...)
using std::max;
using std::min;

struct uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
static uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
static uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
struct Index { int x, y, z; };
static Index threadIdx, blockIdx, gridDim;

struct Meeting { int arrived = 0; unsigned round = 0; };
struct Copy { uint4 *to; const uint4 *from; bool inside; };
struct Lane {
  ucontext_t context;
  std::vector<char> stack;
  bool done;
  std::vector<Copy> open;
  std::deque<std::vector<Copy>> groups;
};
struct Warp { Meeting meeting; unsigned slots[32][8]; };
static std::vector<Lane> lanes;
static std::vector<Warp> warps;
static Meeting block_meeting;
static ucontext_t scheduler;
static int current;
static unsigned long long dice = 88172645463325252ull;

static void yield() { swapcontext(&lanes[current].context, &scheduler); }
static void meet(Meeting &m, int wanted) {
  unsigned round = m.round;
  if (++m.arrived == wanted) { m.arrived = 0; ++m.round; }
  else while (m.round == round) yield();
}
static Warp &my_warp() { return warps[current / 32]; }
static void __syncwarp() { meet(my_warp().meeting, 32); }
static void __syncthreads() { meet(block_meeting, (int)lanes.size()); }
static unsigned *publish() { return my_warp().slots[current % 32]; }

static int __shfl_xor_sync(unsigned, int value, int other) {
  publish()[0] = value;
  __syncwarp();
  int got = my_warp().slots[current % 32 ^ other][0];
  __syncwarp();
  return got;
}
static unsigned __ballot_sync(unsigned, int vote) {
  publish()[0] = vote != 0;
  __syncwarp();
  unsigned all = 0;
  for (int lane = 0; lane < 32; ++lane) all |= my_warp().slots[lane][0] << lane;
  __syncwarp();
  return all;
}
static int __popc(unsigned word) { return __builtin_popcount(word); }
static float __fadd_rn(float a, float b) { return a + b; }
static float __fmul_rn(float a, float b) { return a * b; }
static void atomicAdd(int *to, int value) { *to += value; }

// PTX ISA: A (16 by 256): registers 0 and 2 hold row groupID, 1 and 3 groupID + 8; inputs (threadID_in_group * 32) + bit,
// and 128 more in registers 2 and 3. B (256 by 8): column groupID, inputs alike in registers 0 and 1. C (16 by 8): row
// groupID, and groupID + 8 in registers 2 and 3; column (threadID_in_group * 2) + (register & 1).
static unsigned word_of_a(const Warp &w, int row, int k) {
  int lane = row % 8 * 4 + k % 128 / 32, reg = (k >= 128 ? 2 : 0) + (row >= 8 ? 1 : 0);
  return w.slots[lane][reg];
}
static unsigned word_of_b(const Warp &w, int k, int column) {
  int lane = column * 4 + k % 128 / 32, reg = 4 + (k >= 128 ? 1 : 0);
  return w.slots[lane][reg];
}
static void count_and(int (&sum)[4], uint4 a, uint2 b) {
  unsigned mine[6] = {a.x, a.y, a.z, a.w, b.x, b.y};
  memcpy(publish(), mine, sizeof mine);
  __syncwarp();
  int group = current % 32 / 4, in_group = current % 4;
  for (int reg = 0; reg < 4; ++reg)
    for (int k = 0; k < 256; k += 32) {
      unsigned a_word = word_of_a(my_warp(), group + (reg >= 2 ? 8 : 0), k);
      sum[reg] += __popc(a_word & word_of_b(my_warp(), k, in_group * 2 + (reg & 1)));
    }
  __syncwarp();
}
static uint4 load_once(const uint4 *from) { return *from; }
static void prefetch(const char *line) {
  volatile char touched = *line;  // a line that is not there is found by the sanitizer, or kills the test
  (void)touched;
}
static void copy_async(uint4 *to, const uint4 *from, bool inside) { lanes[current].open.push_back({to, from, inside}); }
static void commit() {
  lanes[current].groups.push_back(lanes[current].open);
  lanes[current].open.clear();
}
template <int GROUPS_LEFT> static void wait_for_all_but() {
  auto &groups = lanes[current].groups;
  for (; (int)groups.size() > GROUPS_LEFT; groups.pop_front())
    for (const Copy &c : groups.front()) *c.to = c.inside ? *c.from : uint4{0, 0, 0, 0};
}

KERNELS_HERE

static void **pointers;
static const int *sizes;
static void body() {
  CALLED((const uint4 *)pointers[0], (SIGNAL *)pointers[1], (const int *)pointers[2], (const int *)pointers[3],
         (const unsigned char *)pointers[4], (const float *)pointers[5], (const float *)pointers[6], pointers[7],
         (const char *)pointers[8], sizes[0], sizes[1], sizes[2], sizes[3], sizes[4]);
  lanes[current].done = true;
}
static void run_block(int threads) {
  lanes.assign(threads, Lane());
  warps.assign(threads / 32, Warp());
  block_meeting = Meeting();
  for (Lane &lane : lanes) {
    lane.stack.resize(64 << 10);
    lane.done = false;
    getcontext(&lane.context);
    lane.context.uc_stack.ss_sp = lane.stack.data();
    lane.context.uc_stack.ss_size = lane.stack.size();
    lane.context.uc_link = &scheduler;
    makecontext(&lane.context, body, 0);
  }
  std::vector<int> order(threads);
  for (int i = 0; i < threads; ++i) order[i] = i;
  for (bool running = true; running;) {
    running = false;
    for (int i = threads - 1; i > 0; --i) {
      dice ^= dice << 13, dice ^= dice >> 7, dice ^= dice << 17;
      std::swap(order[i], order[dice % (i + 1)]);
    }
    for (int chosen : order) {
      if (lanes[chosen].done) continue;
      running = true;
      current = chosen;
      threadIdx = {chosen, 0, 0};
      swapcontext(&scheduler, &lanes[chosen].context);
    }
  }
}
extern "C" void launch(int grid_x, int grid_y, int threads, void **with_pointers, const int *with_sizes) {
  pointers = with_pointers;
  sizes = with_sizes;
  gridDim = {grid_x, grid_y, 1};
  for (int y = 0; y < grid_y; ++y)
    for (int x = 0; x < grid_x; ++x) {
      blockIdx = {x, y, 0};
      run_block(threads);
    }
}
