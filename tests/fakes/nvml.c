/* A libnvidia-ml.so.1 made of arithmetic: GPUs whose power is known exactly, read through the real nvidia-ml-py.
 *
 *   cc -shared -fPIC -O2 -pthread -o libnvidia-ml.so.1 nvml.c        [-DNO_ENERGY] [-DNO_FIELDS] [-DNO_GPM]
 *
 * Each NO_ macro leaves symbols out, as an old driver does. Without a soname on purpose: a test process that has
 * loaded it by its path does not hand it to a later dlopen("libnvidia-ml.so.1").
 *
 * A GPU's power is a list of segments, each a square wave (low and high alike for steady power). Its sensor
 * publishes every `period` microseconds the mean over the last `window` of that period; the energy counter adds
 * that mean times the period. With window = period the counter is the true integral; with 25 of 100 ms it is as
 * blind as an A100's. POWER_AVERAGE is the true mean over a second, at the last tick.
 *
 * A process that is not under a test's control is set up by the environment, read at the first initialisation:
 *   FAKE_NVML_GPUS=2  FAKE_NVML_ARCH=9[,7…]  FAKE_NVML_CAPABILITY=90[,80…]  FAKE_NVML_WATTS=100
 *   FAKE_NVML_WAVE=low:high:period_us:duty  FAKE_NVML_PERIOD_US=100000  FAKE_NVML_WINDOW_US=100000
 *   FAKE_NVML_GPM_HASTY=1 (samples too close give 0 instead of NOT_READY: nobody says what a driver does)
 *   FAKE_NVML_MIG=1  FAKE_NVML_C2C=1  FAKE_NVML_FAIL=function[@gpu]=code,…     (fields as field186, metrics as gpm10)
 */
#define _GNU_SOURCE
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))
#define GPUS 16
#define METRICS 128
#define FAULTS 64
#define GPM_SHORTEST_US 100000
#define ENERGY_BEFORE_US_MJ 7000000ull

enum {
    SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7,
    MEMORY = 20, VERSION_MISMATCH = 25, NOT_READY = 27
};

typedef unsigned long long u64;
typedef struct { double from_us, low_w, high_w, wave_us, duty; } segment;
typedef struct {
    unsigned index, arch, capability, cores, mig, c2c, limit_mw;
    char name[64], uuid[80], bus[32];
    segment *segments;
    size_t used, room;
    double period_us, window_us;
    double counted_uj;            /* what the counter has added by tick number `ticks` */
    u64 ticks;
    double frozen_mj, shift_mj;   /* frozen: < 0 where the counter runs */
    double rate[METRICS], area[METRICS], area_until_us;
} gpu;
typedef struct { char function[64]; int gpu, code; } fault;

/* Layouts of nvml.h; pynvml reads them on the other side. */
typedef union { double d; unsigned ui; u64 ull; int si; } value;
typedef struct { unsigned id, scope; int64_t timestamp, latency; int type, code; value value; } field_value;
typedef struct { char legacy[16]; unsigned domain, bus, device, device_id, subsystem_id; char id[32]; } pci_info;
typedef struct { unsigned version, sensor; int celsius; } temperature;
typedef struct { unsigned pid; u64 bytes; unsigned gi, ci; } process_info;
typedef struct { unsigned version, supported; } gpm_support;
typedef struct { double at_us, area[METRICS]; gpu *board; } gpm_sample;
typedef struct { unsigned id; int code; double value; const char *names[3]; } gpm_metric;
typedef struct { unsigned version, count; gpm_sample *first, *second; gpm_metric metrics[]; } gpm_request;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static gpu boards[GPUS];
static gpu slices[GPUS];          /* one MIG instance a board: a handle of its own, nothing more */
static fault faults[FAULTS];
static unsigned board_count, fault_count, references;
static int configured, is_virtual;
static pid_t owner;
static double virtual_us, epoch_us;
static u64 samples_alive;

static double machine_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}
static double now_us(void) { return is_virtual ? virtual_us : machine_us() - epoch_us; }

/* ---- power ---- */
static double high_us(const segment *s, double a) {        /* time spent high in [0, a) since the segment began */
    double whole = floor(a / s->wave_us);
    return whole * s->wave_us * s->duty + fmin(a - whole * s->wave_us, s->wave_us * s->duty);
}
static double segment_uj(const segment *s, double until_us) {
    double a = until_us - s->from_us;
    return s->wave_us > 0 ? s->low_w * a + (s->high_w - s->low_w) * high_us(s, a) : s->low_w * a;
}
static double integral_uj(const gpu *g, double a, double b) {
    double uj = 0;
    for (size_t i = g->used; i-- > 0;) {
        const segment *s = &g->segments[i];
        double begin = fmax(s->from_us, a), end = i + 1 < g->used ? fmin(g->segments[i + 1].from_us, b) : b;
        if (end > begin) uj += segment_uj(s, end) - segment_uj(s, begin);
        if (s->from_us <= a) break;
    }
    return uj;
}
static double mean_w(const gpu *g, double end, double width) {
    double begin = fmax(end - width, 0);
    return end > begin ? integral_uj(g, begin, end) / (end - begin) : g->segments[0].low_w;
}
static double tick_us(const gpu *g) { return floor(now_us() / g->period_us + 1e-9) * g->period_us; }
static void settle(gpu *g) {                               /* let the counter see every tick up to now */
    u64 until = (u64)(now_us() / g->period_us + 1e-9);
    if (g->window_us >= g->period_us) {
        g->counted_uj += integral_uj(g, g->ticks * g->period_us, until * g->period_us);
        g->ticks = until;
    }
    for (; g->ticks < until; g->ticks++)
        g->counted_uj += mean_w(g, (g->ticks + 1) * g->period_us, g->window_us) * g->period_us;
    double now = now_us();
    for (int i = 0; i < METRICS; i++) g->area[i] += g->rate[i] * (now - g->area_until_us);
    g->area_until_us = now;
}
static u64 energy_mj(gpu *g) {
    settle(g);
    double mj = g->frozen_mj >= 0 ? g->frozen_mj : ENERGY_BEFORE_US_MJ + g->counted_uj / 1e3;
    return (u64)(mj + g->shift_mj + 1e-6);
}
static void append(gpu *g, segment s) {
    if (g->used && g->segments[g->used - 1].from_us == s.from_us) g->used--;
    if (g->used == g->room) g->segments = realloc(g->segments, (g->room = g->room * 2 + 64) * sizeof s);
    g->segments[g->used++] = s;
}

/* ---- set-up ---- */
static double number(const char *name, double otherwise) {
    const char *text = getenv(name);
    return text && *text ? strtod(text, NULL) : otherwise;
}
static double nth(const char *name, unsigned n, double otherwise) {      /* the n-th of a list, or its last */
    const char *text = getenv(name);
    if (!text || !*text) return otherwise;
    for (; n && strchr(text, ','); n--) text = strchr(text, ',') + 1;
    return strtod(text, NULL);
}
static void add_fault(const char *function, int board, int code) {
    if (fault_count == FAULTS) abort();
    fault *f = &faults[fault_count++];
    snprintf(f->function, sizeof f->function, "%s", function);
    f->gpu = board;
    f->code = code;
}
static void faults_from_environment(void) {
    char text[2048], *rest = text, *item;
    snprintf(text, sizeof text, "%s", getenv("FAKE_NVML_FAIL") ? getenv("FAKE_NVML_FAIL") : "");
    while ((item = strsep(&rest, ","))) {
        char *code = strchr(item, '='), *board = strchr(item, '@');
        if (!code) continue;
        *code++ = 0;
        if (board) *board++ = 0;
        add_fault(item, board ? atoi(board) : -1, atoi(code));
    }
}
static unsigned usual_capability(unsigned arch) {
    static const unsigned of[] = { 0, 0, 35, 52, 60, 70, 75, 80, 89, 90, 100 };
    return arch < sizeof of / sizeof *of ? of[arch] : 120;
}
static void make_board(unsigned i) {
    gpu *g = &boards[i];
    free(g->segments);
    *g = (gpu){ .index = i, .limit_mw = 700000, .cores = 16896, .frozen_mj = -1 };
    g->arch = (unsigned)nth("FAKE_NVML_ARCH", i, 9);
    g->capability = (unsigned)nth("FAKE_NVML_CAPABILITY", i, usual_capability(g->arch));
    g->mig = (unsigned)number("FAKE_NVML_MIG", 0);
    g->c2c = (unsigned)number("FAKE_NVML_C2C", 0);
    g->period_us = number("FAKE_NVML_PERIOD_US", 100000);
    g->window_us = number("FAKE_NVML_WINDOW_US", g->period_us);
    snprintf(g->name, sizeof g->name, "Fake GPU sm_%u", g->capability);
    snprintf(g->uuid, sizeof g->uuid, "GPU-%08x-1111-4222-8333-0123456789ab", 0xa0000000u + 0x01111111u * i);
    snprintf(g->bus, sizeof g->bus, "00000000:%02X:00.0", 0x18 + 0x11 * i);
    slices[i] = *g;
    snprintf(slices[i].uuid, sizeof slices[i].uuid, "MIG-%08x-5555-5666-8777-0123456789ab", 0xb0000000u + i);
    segment s = { .low_w = number("FAKE_NVML_WATTS", 100), .high_w = 0, .wave_us = 0 };
    const char *wave = getenv("FAKE_NVML_WAVE");
    if (wave) sscanf(wave, "%lf:%lf:%lf:%lf", &s.low_w, &s.high_w, &s.wave_us, &s.duty);
    append(g, s);
}
static void configure(void) {
    if (configured) return;
    configured = 1;
    epoch_us = machine_us();
    board_count = (unsigned)number("FAKE_NVML_GPUS", 1);
    if (board_count > GPUS) board_count = GPUS;
    fault_count = 0;
    faults_from_environment();
    for (unsigned i = 0; i < GPUS; i++) make_board(i);
}
static void before_fork(void) { pthread_mutex_lock(&lock); }
static void after_fork(void) { pthread_mutex_unlock(&lock); }
__attribute__((constructor)) static void loaded(void) { pthread_atfork(before_fork, after_fork, after_fork); }

/* ---- what a test does to it ---- */
#define LOCKED(...) do { pthread_mutex_lock(&lock); configure(); __VA_ARGS__; pthread_mutex_unlock(&lock); } while (0)
PUBLIC void fake_reset(int with_virtual_clock) {
    pthread_mutex_lock(&lock);
    configured = 0; references = 0; virtual_us = 0; is_virtual = with_virtual_clock; samples_alive = 0;
    configure();
    pthread_mutex_unlock(&lock);
}
PUBLIC void fake_advance(double us) { LOCKED(virtual_us += us); }
PUBLIC double fake_now_us(void) { double us; LOCKED(us = now_us()); return us; }
PUBLIC void fake_wave(int i, double low_w, double high_w, double wave_us, double duty) {
    LOCKED(settle(&boards[i]); append(&boards[i], (segment){ now_us(), low_w, high_w, wave_us, duty }));
}
PUBLIC double fake_true_uj(int i, double a_us, double b_us) { double uj; LOCKED(uj = integral_uj(&boards[i], a_us, b_us)); return uj; }
PUBLIC void fake_traffic(int i, int metric, double rate) { LOCKED(settle(&boards[i]); boards[i].rate[metric] = rate); }
PUBLIC void fake_fail(const char *function, int board, int code) { LOCKED(add_fault(function, board, code)); }
PUBLIC void fake_heal(void) { LOCKED(fault_count = 0); }
PUBLIC void fake_freeze(int i) { LOCKED(boards[i].frozen_mj = (double)energy_mj(&boards[i])); }
PUBLIC void fake_restart_counter(int i) { LOCKED(boards[i].shift_mj -= (double)energy_mj(&boards[i])); }
PUBLIC void fake_name(int i, const char *name, unsigned cores) {
    LOCKED(snprintf(boards[i].name, sizeof boards[i].name, "%s", name); boards[i].cores = cores);
}
PUBLIC u64 fake_samples_alive(void) { return samples_alive; }
PUBLIC unsigned fake_references(void) { return owner == getpid() ? references : 0; }

/* ---- NVML ---- */
static int injected(const char *function, int board) {     /* the latest fault wins; code 0 heals */
    for (unsigned i = fault_count; i-- > 0;)
        if (!strcmp(faults[i].function, function) && (faults[i].gpu < 0 || board < 0 || faults[i].gpu == board))
            return faults[i].code;
    return SUCCESS;
}
static int is_open(void) { return references && owner == getpid(); }      /* a forked child must open it again */
static int is_board(const gpu *g) { return g >= boards && g < boards + board_count; }
static int refused(const char *function) { return is_open() ? injected(function, -1) : UNINITIALIZED; }
static int refused_for(const char *function, const gpu *g) {
    return !is_open() ? UNINITIALIZED : !is_board(g) ? INVALID_ARGUMENT : injected(function, (int)g->index);
}
#define DONE(code) do { int result_ = (code); pthread_mutex_unlock(&lock); return result_; } while (0)
#define UNLESS(code) do { pthread_mutex_lock(&lock); int code_ = (code); if (code_) DONE(code_); } while (0)
#define ENTER() UNLESS(refused(__func__))
#define ENTER_BOARD(g) UNLESS(refused_for(__func__, g))
#define GIVE(condition, statement) do { if (!(condition)) DONE(NOT_SUPPORTED); statement; DONE(SUCCESS); } while (0)

static int initialise(void) {
    pthread_mutex_lock(&lock);
    configure();
    int code = injected("nvmlInitWithFlags", -1);
    if (code) DONE(code);
    if (owner != getpid()) references = 0;
    owner = getpid();
    references++;
    DONE(SUCCESS);
}
PUBLIC int nvmlInitWithFlags(unsigned flags) { (void)flags; return initialise(); }
PUBLIC int nvmlInit_v2(void) { return initialise(); }
PUBLIC int nvmlInit(void) { return initialise(); }         /* torch calls the unversioned one */
PUBLIC int nvmlShutdown(void) {
    pthread_mutex_lock(&lock);
    if (references && owner != getpid()) abort();          /* it would close what its parent opened */
    if (!is_open()) DONE(UNINITIALIZED);
    references--;
    DONE(SUCCESS);
}
PUBLIC const char *nvmlErrorString(int code) {
    return code == SUCCESS ? "Success" : code == NOT_SUPPORTED ? "Not Supported" : "an error of the fake";
}
PUBLIC int nvmlSystemGetDriverVersion(char *b, unsigned n) { ENTER(); snprintf(b, n, "999.01"); DONE(SUCCESS); }
PUBLIC int nvmlSystemGetNVMLVersion(char *b, unsigned n) { ENTER(); snprintf(b, n, "13.999.01"); DONE(SUCCESS); }
PUBLIC int nvmlSystemGetCudaDriverVersion_v2(int *v) { ENTER(); *v = 13000; DONE(SUCCESS); }
PUBLIC int nvmlDeviceGetCount_v2(unsigned *n) { ENTER(); *n = board_count; DONE(SUCCESS); }
PUBLIC int nvmlDeviceGetHandleByIndex_v2(unsigned i, gpu **g) {
    pthread_mutex_lock(&lock);
    if (!is_open()) DONE(UNINITIALIZED);
    if (i >= board_count) DONE(INVALID_ARGUMENT);
    *g = &boards[i];
    DONE(injected(__func__, (int)i));
}
PUBLIC int nvmlDeviceGetHandleByUUID(const char *uuid, gpu **g) {
    ENTER();
    for (unsigned i = 0; i < board_count; i++) {
        if (!strcmp(uuid, boards[i].uuid)) { *g = &boards[i]; DONE(injected(__func__, (int)i)); }
        if (boards[i].mig && !strcmp(uuid, slices[i].uuid)) { *g = &slices[i]; DONE(SUCCESS); }
    }
    DONE(NOT_FOUND);
}
PUBLIC int nvmlDeviceGetHandleByPciBusId_v2(const char *bus, gpu **g) {
    ENTER();
    for (unsigned i = 0; i < board_count; i++)
        if (!strcasecmp(bus, boards[i].bus) || !strcasecmp(bus, boards[i].bus + 4)) { *g = &boards[i]; DONE(SUCCESS); }
    DONE(NOT_FOUND);
}
PUBLIC int nvmlDeviceGetMigDeviceHandleByIndex(gpu *g, unsigned i, gpu **slice) {
    ENTER_BOARD(g);
    if (!g->mig || i) DONE(NOT_FOUND);
    *slice = &slices[g->index];
    DONE(SUCCESS);
}
PUBLIC int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(gpu *slice, gpu **g) {
    ENTER();
    if (slice < slices || slice >= slices + GPUS) DONE(INVALID_ARGUMENT);
    *g = &boards[slice->index];
    DONE(SUCCESS);
}
PUBLIC int nvmlDeviceGetIndex(gpu *g, unsigned *i) { ENTER_BOARD(g); *i = g->index; DONE(SUCCESS); }
PUBLIC int nvmlDeviceGetName(gpu *g, char *b, unsigned n) { ENTER_BOARD(g); snprintf(b, n, "%s", g->name); DONE(SUCCESS); }
PUBLIC int nvmlDeviceGetUUID(gpu *g, char *b, unsigned n) {
    pthread_mutex_lock(&lock);
    if (!is_open()) DONE(UNINITIALIZED);
    snprintf(b, n, "%s", g->uuid);
    DONE(injected(__func__, (int)g->index));
}
PUBLIC int nvmlDeviceGetPciInfo_v3(gpu *g, pci_info *p) {
    ENTER_BOARD(g);
    *p = (pci_info){ .bus = 0x18 + 0x11 * g->index, .device_id = 0x233510de };
    memcpy(p->id, g->bus, sizeof p->id);
    snprintf(p->legacy, sizeof p->legacy, "%.15s", g->bus + 4);
    DONE(SUCCESS);
}
PUBLIC int nvmlDeviceGetArchitecture(gpu *g, unsigned *a) { ENTER_BOARD(g); *a = g->arch; DONE(SUCCESS); }
PUBLIC int nvmlDeviceGetCudaComputeCapability(gpu *g, int *major, int *minor) {
    ENTER_BOARD(g);
    *major = (int)g->capability / 10;
    *minor = (int)g->capability % 10;
    DONE(SUCCESS);
}
PUBLIC int nvmlDeviceGetNumGpuCores(gpu *g, unsigned *n) { ENTER_BOARD(g); *n = g->cores; DONE(SUCCESS); }
PUBLIC int nvmlDeviceGetMigMode(gpu *g, unsigned *now, unsigned *next) { ENTER_BOARD(g); GIVE(g->capability >= 80, *now = *next = g->mig); }
PUBLIC int nvmlDeviceGetC2cModeInfoV(gpu *g, unsigned *is_enabled) { ENTER_BOARD(g); GIVE(g->arch >= 9, *is_enabled = g->c2c); }
PUBLIC int nvmlDeviceGetPersistenceMode(gpu *g, unsigned *mode) { ENTER_BOARD(g); *mode = 1; DONE(SUCCESS); }
PUBLIC int nvmlDeviceGetPowerUsage(gpu *g, unsigned *mw) {
    ENTER_BOARD(g);     /* from Ampere on, GA100 apart, a mean over one second */
    double width = g->arch >= 7 && g->capability != 80 ? 1e6 : g->window_us;
    *mw = (unsigned)(mean_w(g, tick_us(g), width) * 1e3 + .5);
    DONE(SUCCESS);
}
PUBLIC int nvmlDeviceGetEnforcedPowerLimit(gpu *g, unsigned *mw) { ENTER_BOARD(g); *mw = g->limit_mw; DONE(SUCCESS); }
PUBLIC int nvmlDeviceGetPowerManagementLimit(gpu *g, unsigned *mw) { ENTER_BOARD(g); *mw = g->limit_mw; DONE(SUCCESS); }
PUBLIC int nvmlDeviceGetTemperature(gpu *g, int sensor, unsigned *c) { ENTER_BOARD(g); GIVE(sensor == 0, *c = 45); }
PUBLIC int nvmlDeviceGetTemperatureV(gpu *g, temperature *t) { ENTER_BOARD(g); GIVE(t->sensor == 0, t->celsius = 45); }
PUBLIC int nvmlDeviceGetClockInfo(gpu *g, int which, unsigned *mhz) { ENTER_BOARD(g); *mhz = which == 2 ? 2619 : 1755; DONE(SUCCESS); }
PUBLIC int nvmlDeviceGetMaxClockInfo(gpu *g, int which, unsigned *mhz) { ENTER_BOARD(g); *mhz = which == 2 ? 2619 : 1980; DONE(SUCCESS); }
PUBLIC int nvmlDeviceGetMemoryBusWidth(gpu *g, unsigned *bits) { ENTER_BOARD(g); *bits = 5120; DONE(SUCCESS); }
PUBLIC int nvmlDeviceGetCurrentClocksEventReasons(gpu *g, u64 *mask) {
    ENTER_BOARD(g);     /* idle below 90 W, held by the power cap near the limit */
    double watts = mean_w(g, tick_us(g), g->window_us);
    *mask = watts < 90 ? 0x1 : watts * 1e3 > 0.98 * g->limit_mw ? 0x4 : 0;
    DONE(SUCCESS);
}
PUBLIC int nvmlDeviceGetMemoryInfo(gpu *g, u64 *total_free_used) {
    ENTER_BOARD(g);
    total_free_used[0] = 80ull << 30; total_free_used[1] = 79ull << 30; total_free_used[2] = 1ull << 30;
    DONE(SUCCESS);
}
PUBLIC int nvmlDeviceGetUtilizationRates(gpu *g, unsigned *gpu_memory) { ENTER_BOARD(g); GIVE(!g->mig, gpu_memory[0] = gpu_memory[1] = 50); }
PUBLIC int nvmlDeviceGetComputeRunningProcesses_v3(gpu *g, unsigned *n, process_info *list) {
    ENTER_BOARD(g);
    if (*n < 1) { *n = 1; DONE(INSUFFICIENT_SIZE); }
    list[0] = (process_info){ .pid = (unsigned)owner, .bytes = 1ull << 30 };
    *n = 1;
    DONE(SUCCESS);
}
#ifndef NO_ENERGY
PUBLIC int nvmlDeviceGetTotalEnergyConsumption(gpu *g, u64 *mj) { ENTER_BOARD(g); GIVE(g->arch >= 5, *mj = energy_mj(g)); }
#endif

#ifndef NO_FIELDS
static int field(gpu *g, field_value *f) {
    char name[32];
    snprintf(name, sizeof name, "field%u", f->id);
    int code = injected(name, (int)g->index);
    int averages = g->arch >= 7 && g->capability != 80, is_module = f->scope == 1 && g->c2c;
    if (code) return code;
    if (f->scope && !is_module) return NOT_SUPPORTED;
    f->type = 1;
    switch (f->id) {
    case 74: f->type = 3; f->value.ull = 2500000000ull; return SUCCESS;
    case 83: if (g->arch < 5) return NOT_SUPPORTED; f->type = 3; f->value.ull = energy_mj(g); return SUCCESS;
    case 185: if (!averages) return NOT_SUPPORTED; f->value.ui = (unsigned)(mean_w(g, tick_us(g), 1e6) * 1e3 + .5); return SUCCESS;
    case 186: f->value.ui = (unsigned)(mean_w(g, tick_us(g), g->window_us) * 1e3 + .5); return SUCCESS;
    default: return NOT_SUPPORTED;
    }
}
PUBLIC int nvmlDeviceGetFieldValues(gpu *g, int n, field_value *f) {
    ENTER_BOARD(g);
    for (int i = 0; i < n; i++) {
        f[i].timestamp = (int64_t)now_us();
        f[i].code = field(g, &f[i]);
    }
    DONE(SUCCESS);
}
#endif

#ifndef NO_GPM
PUBLIC int nvmlGpmQueryDeviceSupport(gpu *g, gpm_support *s) {
    ENTER_BOARD(g);
    if (s->version != 1) DONE(VERSION_MISMATCH);
    s->supported = g->arch >= 9;
    DONE(SUCCESS);
}
PUBLIC int nvmlGpmSampleAlloc(gpm_sample **s) {
    ENTER();
    if (!(*s = calloc(1, sizeof **s))) DONE(MEMORY);
    samples_alive++;
    DONE(SUCCESS);
}
PUBLIC int nvmlGpmSampleFree(gpm_sample *s) {
    pthread_mutex_lock(&lock);
    free(s);
    samples_alive--;
    DONE(SUCCESS);
}
PUBLIC int nvmlGpmSampleGet(gpu *g, gpm_sample *s) {
    ENTER_BOARD(g);
    if (g->arch < 9) DONE(NOT_SUPPORTED);
    settle(g);
    s->at_us = now_us();
    s->board = g;
    memcpy(s->area, g->area, sizeof s->area);
    DONE(SUCCESS);
}
PUBLIC int nvmlGpmMetricsGet(gpm_request *r) {
    UNLESS(refused_for(__func__, r->first->board));
    if (r->version != 1) DONE(VERSION_MISMATCH);           /* pynvml leaves it 0 */
    if (r->first->board != r->second->board) DONE(INVALID_ARGUMENT);
    double width_us = r->second->at_us - r->first->at_us;
    int is_short = width_us < GPM_SHORTEST_US;
    if (is_short && !number("FAKE_NVML_GPM_HASTY", 0)) DONE(NOT_READY);
    for (unsigned i = 0; i < r->count; i++) {
        gpm_metric *m = &r->metrics[i];
        char name[32];
        snprintf(name, sizeof name, "gpm%u", m->id);
        m->code = m->id < METRICS ? injected(name, (int)r->first->board->index) : NOT_SUPPORTED;
        if (!m->code) m->value = is_short ? 0 : (r->second->area[m->id] - r->first->area[m->id]) / width_us;
    }
    DONE(SUCCESS);
}
#endif
