"""CUDA C of the kernels on packed bits: what a warp does together (the primitives), and the kernels themselves.

Everything is a sum of binary products, counted by `mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.and.popc` (PTX
ISA, "Matrix Fragments for mma.m16n8k256"): 16 outputs by 8 columns by 256 inputs an instruction. A column is one plane
of one sample: 8 samples of 1 bit, 4 of 2, 2 of 3 or 4 (3 leave every fourth column empty), or 1 of 8 bits.

The kernels are plain C++ but for the primitives, so that a host compiler runs them too, given primitives of its own.
"""

PRIMITIVES = r"""
__device__ __forceinline__ void count_and(int (&sum)[4], uint4 a, uint2 b) {
  asm volatile("mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.and.popc {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
               "{%0,%1,%2,%3};"
               : "+r"(sum[0]), "+r"(sum[1]), "+r"(sum[2]), "+r"(sum[3])
               : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b.x), "r"(b.y));
}
// Weights are read once: they need not displace the activations in L1.
__device__ __forceinline__ uint4 load_once(const uint4 *from) {
  uint4 v;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(from));
  return v;
}
__device__ __forceinline__ void prefetch(const char *line) { asm volatile("prefetch.global.L2 [%0];" ::"l"(line)); }
__device__ __forceinline__ void copy_async(uint4 *to, const uint4 *from, bool inside) {
  unsigned to_shared = (unsigned)__cvta_generic_to_shared(to);
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to_shared), "l"(from), "r"(inside ? 16 : 0));
}
__device__ __forceinline__ void commit() { asm volatile("cp.async.commit_group;"); }
template <int GROUPS_LEFT> __device__ __forceinline__ void wait_for_all_but() {
  asm volatile("cp.async.wait_group %0;" ::"n"(GROUPS_LEFT));
}
"""

KERNELS = r"""
#define EVERY 0xffffffffu
#define W_TOP ((1 << W_BITS) - 1)
// 8 bits are two's complement, fewer are codes of odd values: value = 2 * code - top.
#define A_FACTOR (A_BITS == 8 ? 1 : 2)
#define SLOTS (A_BITS == 3 ? 4 : A_BITS)
#define PER_GROUP (8 / SLOTS)
#define OUT_TOP ((1 << OUT_BITS) - 1)

struct Epilogue {
  const int *bias, *thresholds;
  const unsigned char *flipped;
  const float *gain, *offset;
  void *out;
  int samples, outputs, stride;
};

__device__ int coded(const Epilogue &e, int sum, int n) {
  if (OUT_BITS == 8) {
    float y = __fadd_rn(__fmul_rn((float)sum, e.gain[n]), e.offset[n]);
    return (int)rintf(fminf(fmaxf(y, -127.0f), 127.0f));
  }
  int count = 0;
#pragma unroll
  for (int t = 0; t < OUT_TOP; ++t) count += sum >= e.thresholds[t * e.outputs + n];
  return e.flipped[n] ? OUT_TOP - count : count;
}

// Hands on a tile of 16 outputs: sums[sample][16] in shared memory, every 32 lanes together. Of POOL samples that
// follow each other the largest counts. The out stride is in elements, for planes in words of 32 bits.
__device__ void hand_on(const Epilogue &e, const int *sums, int count, int tile, int first, int begin, int step) {
  int lane = threadIdx.x % 32, all = count / POOL * 16;
  for (int base = begin; base < all; base += step) {
    int index = base + lane, local = index / 16, n = tile * 16 + index % 16;
    long long m = first / POOL + local;
    bool sampled = index < all && m < e.samples / POOL, inside = sampled && n < e.outputs;
    int sum = 0;
    if (inside) {
      sum = sums[local * POOL * 16 + index % 16];
#pragma unroll
      for (int s = 1; s < POOL; ++s) sum = max(sum, sums[(local * POOL + s) * 16 + index % 16]);
    }
    if (OUT_BITS == 0) {
      if (inside) ((float *)e.out)[m * e.stride + n] = __fadd_rn(__fmul_rn((float)sum, e.gain[n]), e.offset[n]);
      continue;
    }
    int code = inside ? coded(e, sum, n) : 0;
    if (!PACKED) {
      if (inside) ((signed char *)e.out)[m * e.stride + n] = OUT_BITS == 8 ? code : 2 * code - OUT_TOP;
      continue;
    }
#pragma unroll
    for (int p = 0; p < OUT_BITS; ++p) {
      unsigned bits = __ballot_sync(EVERY, code >> p & 1);
      if (sampled && index % 16 == 0)
        ((unsigned short *)e.out)[(m * OUT_BITS + p) * e.stride * 2 + tile] = (unsigned short)(bits >> (lane & 16));
    }
  }
}

// Few columns, limited by memory: a block owns 16 outputs, its warps share the inputs. Each lane's 16 bytes of weights
// are one operand of the instruction as they lie; nothing is unpacked. A row of ones beside them counts the bits of the
// activations. `next` is what the following layer reads first: it comes into the L2 while this layer ends.
extern "C" __global__ void __launch_bounds__(WARPS * 32, GROUPS == 1 ? 1024 / (WARPS * 32) : 1)
few_columns(const uint4 *weights, const uint2 *signal, const int *bias, const int *thresholds,
            const unsigned char *flipped, const float *gain, const float *offset, void *out, const char *next,
            int samples, int outputs, int chunks, int stride, int next_lines) {
  __shared__ int partial[WARPS][GROUPS * PER_GROUP * 16];
  Epilogue e = {bias, thresholds, flipped, gain, offset, out, samples, outputs, stride};
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32, row = lane / 4, quarter = lane % 4, tile = blockIdx.x;
  int first = blockIdx.y * GROUPS * PER_GROUP;
  int sum[GROUPS][W_BITS][4] = {}, ones[GROUPS][4] = {};
  const uint4 *mine = weights + (long long)tile * chunks * W_BITS * 32 + lane;
  for (int begin = warp; begin < chunks; begin += WARPS * UNROLL) {
    uint4 a[UNROLL][W_BITS];
    uint2 b[UNROLL][GROUPS];
#pragma unroll
    for (int u = 0; u < UNROLL; ++u) {
      int chunk = begin + u * WARPS;
      bool inside = chunk < chunks;
#pragma unroll
      for (int i = 0; i < W_BITS; ++i)
        a[u][i] = inside ? load_once(mine + ((long long)chunk * W_BITS + i) * 32) : make_uint4(0, 0, 0, 0);
#pragma unroll
      for (int q = 0; q < GROUPS; ++q) {
        int sample = first + q * PER_GROUP + row / SLOTS, plane = row % SLOTS;
        long long column = (long long)sample * A_BITS + plane;
        bool there = inside && sample < samples && plane < A_BITS;
        b[u][q] = there ? signal[(column * chunks + chunk) * 4 + quarter] : make_uint2(0, 0);
      }
    }
#pragma unroll
    for (int u = 0; u < UNROLL; ++u)
#pragma unroll
      for (int q = 0; q < GROUPS; ++q) {
        count_and(ones[q], make_uint4(EVERY, EVERY, EVERY, EVERY), b[u][q]);
#pragma unroll
        for (int i = 0; i < W_BITS; ++i) count_and(sum[q][i], a[u][i], b[u][q]);
      }
  }
  int line = (blockIdx.y * gridDim.x + blockIdx.x) * WARPS * 32 + threadIdx.x;
  if (line < next_lines) prefetch(next + (long long)line * 128);
#pragma unroll
  for (int q = 0; q < GROUPS; ++q) {
    int v[4];
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      int s = 0, plane = (quarter * 2 + r % 2) % SLOTS;
#pragma unroll
      for (int i = 0; i < W_BITS; ++i) s += sum[q][i][r] << i;
      v[r] = A_FACTOR * (plane == 7 ? -128 : 1 << plane) * (2 * s - W_TOP * ones[q][r % 2]);
    }
    // The planes of a sample lie in neighbouring columns: two in a lane, then in the lanes of a quartet.
    if (SLOTS > 1) { v[0] += v[1]; v[2] += v[3]; }
    if (SLOTS > 2) { v[0] += __shfl_xor_sync(EVERY, v[0], 1); v[2] += __shfl_xor_sync(EVERY, v[2], 1); }
    if (SLOTS > 4) { v[0] += __shfl_xor_sync(EVERY, v[0], 2); v[2] += __shfl_xor_sync(EVERY, v[2], 2); }
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      int slot = quarter * 2 + r % 2;
      if (slot % SLOTS == 0) partial[warp][(q * PER_GROUP + slot / SLOTS) * 16 + row + r / 2 * 8] = v[r];
    }
  }
  __syncthreads();
  for (int i = threadIdx.x; i < GROUPS * PER_GROUP * 16; i += WARPS * 32) {
    int total = bias[tile * 16 + i % 16];
    for (int w = 0; w < WARPS; ++w) total += partial[w][i];
    partial[0][i] = total;
  }
  __syncthreads();
  hand_on(e, partial[0], GROUPS * PER_GROUP, tile, first, warp * 32, WARPS * 32);
}

// Many columns of 1 bit, limited by arithmetic: a block of 2 by 4 warps owns 2 * ROW_TILES * 16 outputs by
// 4 * COLUMN_GROUPS * 8 samples; both operands pass through shared memory, STAGES deep, DEPTH chunks of 256 inputs
// each.
#define BLOCK_TILES (2 * ROW_TILES)
#define BLOCK_COLUMNS (4 * COLUMN_GROUPS * 8)
#define A_VECTORS (BLOCK_TILES * DEPTH * 32)
#define B_VECTORS (BLOCK_COLUMNS * DEPTH * 2)

__device__ void fetch(uint4 *stage, const uint4 *weights, const uint4 *signal, int tiles, int samples, int chunks,
                      int begin) {
  for (int v = threadIdx.x; v < A_VECTORS; v += 256) {
    int tile = blockIdx.x * BLOCK_TILES + v / (DEPTH * 32), chunk = begin + v / 32 % DEPTH;
    bool inside = tile < tiles && chunk < chunks;
    copy_async(stage + v, weights + (inside ? ((long long)tile * chunks + chunk) * 32 + v % 32 : 0), inside);
  }
  for (int v = threadIdx.x; v < B_VECTORS; v += 256) {
    int column = v / (DEPTH * 2), piece = v % (DEPTH * 2), chunk = begin + piece / 2;
    int sample = blockIdx.y * BLOCK_COLUMNS + column;
    bool inside = sample < samples && chunk < chunks;
    uint4 *to = stage + A_VECTORS + (piece / 2 * BLOCK_COLUMNS + column) * 2 + piece % 2;
    copy_async(to, signal + (inside ? ((long long)sample * chunks + chunk) * 2 + piece % 2 : 0), inside);
  }
}

extern "C" __global__ void __launch_bounds__(256)
many_columns(const uint4 *weights, const uint4 *signal, const int *bias, const int *thresholds,
             const unsigned char *flipped, const float *gain, const float *offset, void *out, const char *next,
             int samples, int outputs, int chunks, int stride, int next_lines) {
  __shared__ uint4 stages[STAGES][A_VECTORS + B_VECTORS];
  Epilogue e = {bias, thresholds, flipped, gain, offset, out, samples, outputs, stride};
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32, row = lane / 4, quarter = lane % 4;
  int my_tile = warp / 4 * ROW_TILES, my_column = warp % 4 * COLUMN_GROUPS * 8, tiles = (outputs + 15) / 16;
  int rounds = (chunks + DEPTH - 1) / DEPTH, bits = 0;
  int sum[ROW_TILES][COLUMN_GROUPS][4] = {};
  for (int s = 0; s < STAGES - 1; ++s) {
    fetch(stages[s], weights, signal, tiles, samples, chunks, s * DEPTH);
    commit();
  }
  for (int round = 0; round < rounds; ++round) {
    wait_for_all_but<STAGES - 2>();
    __syncthreads();
    int ahead = round + STAGES - 1;
    fetch(stages[ahead % STAGES], weights, signal, tiles, samples, chunks, ahead * DEPTH);
    commit();
    const uint4 *a_stage = stages[round % STAGES], *b_stage = a_stage + A_VECTORS;
    // The bits of a sample's activations, each counted by one lane of the block.
    for (int v = threadIdx.x; v < B_VECTORS; v += 256) {
      uint4 w = b_stage[v];
      bits += __popc(w.x) + __popc(w.y) + __popc(w.z) + __popc(w.w);
    }
#pragma unroll
    for (int k = 0; k < DEPTH; ++k) {
      uint2 b[COLUMN_GROUPS];
#pragma unroll
      for (int q = 0; q < COLUMN_GROUPS; ++q)
        b[q] = ((const uint2 *)b_stage)[(k * BLOCK_COLUMNS + my_column + q * 8 + row) * 4 + quarter];
#pragma unroll
      for (int t = 0; t < ROW_TILES; ++t) {
        uint4 a = a_stage[((my_tile + t) * DEPTH + k) * 32 + lane];
#pragma unroll
        for (int q = 0; q < COLUMN_GROUPS; ++q) count_and(sum[t][q], a, b[q]);
      }
    }
  }
  wait_for_all_but<0>();
  __syncthreads();
  int *counted = (int *)stages, *sums = counted + BLOCK_COLUMNS + warp * COLUMN_GROUPS * 8 * 16;
  for (int i = threadIdx.x; i < BLOCK_COLUMNS; i += 256) counted[i] = 0;
  __syncthreads();
  // 256 lanes are a multiple of two vectors a column: a lane has seen one column only.
  atomicAdd(&counted[threadIdx.x / 2 % BLOCK_COLUMNS], bits);
  __syncthreads();
#pragma unroll
  for (int t = 0; t < ROW_TILES; ++t) {
    int tile = blockIdx.x * BLOCK_TILES + my_tile + t;
    if (tile < tiles) {
#pragma unroll
      for (int q = 0; q < COLUMN_GROUPS; ++q)
#pragma unroll
        for (int r = 0; r < 4; ++r) {
          int column = q * 8 + quarter * 2 + r % 2, n = row + r / 2 * 8;
          sums[column * 16 + n] = 4 * sum[t][q][r] - 2 * counted[my_column + column] + bias[tile * 16 + n];
        }
    }
    __syncwarp();
    if (tile < tiles)
      hand_on(e, sums, COLUMN_GROUPS * 8, tile, blockIdx.y * BLOCK_COLUMNS + my_column, 0, 32);
    __syncwarp();
  }
}
"""
