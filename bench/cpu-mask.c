// Hides instruction sets from a program, so that one machine can stand in for older CPUs of its make: CPUID traps
// (arch_prctl(2), ARCH_CPUID; needs the CPU flag cpuid_fault) and is answered without them. Preloaded; CPU_MASK is
// avx2, avx512 or vnni, the newest thing of which the program shall know.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define ARCH_CPUID 0x1012
#define BIT(n) (1u << (n))

// Bits of CPUID leaf 7 by Intel's Software Developer's Manual, volume 2A; ebx, ecx, edx of subleaf 0, eax and edx of 1.
typedef struct {
  uint32_t ebx, ecx, edx, eax1, edx1;
} Bits;

// AMX-BF16, AVX512-FP16, AMX-TILE, AMX-INT8; AMX-FP16; AMX-COMPLEX
static const Bits AMX = {.edx = BIT(22) | BIT(23) | BIT(24) | BIT(25), .eax1 = BIT(21), .edx1 = BIT(8)};
// AVX512-VNNI; AVX-VNNI, AVX512-BF16; AVX-VNNI-INT8, AVX-VNNI-INT16
static const Bits VNNI = {.ecx = BIT(11), .eax1 = BIT(4) | BIT(5), .edx1 = BIT(4) | BIT(10)};
// F, DQ, IFMA, PF, ER, CD, BW, VL; VBMI, VBMI2, BITALG, VPOPCNTDQ; 4VNNIW, 4FMAPS, VP2INTERSECT; AVX-IFMA; AVX10
static const Bits AVX512 = {
    .ebx = BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) | BIT(31),
    .ecx = BIT(1) | BIT(6) | BIT(12) | BIT(14),
    .edx = BIT(2) | BIT(3) | BIT(8),
    .eax1 = BIT(23),
    .edx1 = BIT(19),
};

static Bits hidden;
static struct sigaction next_action;

static void hide(Bits bits) {
  hidden.ebx |= bits.ebx;
  hidden.ecx |= bits.ecx;
  hidden.edx |= bits.edx;
  hidden.eax1 |= bits.eax1;
  hidden.edx1 |= bits.edx1;
}

static long let_cpuid(int work) { return syscall(SYS_arch_prctl, ARCH_CPUID, work); }

static void on_fault(int signal_number, siginfo_t *info, void *context) {
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  const uint8_t *at = (const uint8_t *)registers[REG_RIP];
  if (info->si_code == SI_KERNEL && at[0] == 0x0f && at[1] == 0xa2) {
    uint32_t leaf = registers[REG_RAX], subleaf = registers[REG_RCX], a, b, c, d;
    let_cpuid(1);
    __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(leaf), "c"(subleaf));
    let_cpuid(0);
    if (leaf == 7 && subleaf == 0) b &= ~hidden.ebx, c &= ~hidden.ecx, d &= ~hidden.edx;
    if (leaf == 7 && subleaf == 1) a &= ~hidden.eax1, d &= ~hidden.edx1;
    registers[REG_RAX] = a;
    registers[REG_RBX] = b;
    registers[REG_RCX] = c;
    registers[REG_RDX] = d;
    registers[REG_RIP] += 2;
  } else if (next_action.sa_flags & SA_SIGINFO) {
    next_action.sa_sigaction(signal_number, info, context);
  } else {
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
  }
}

static int set_action(int signal_number, const struct sigaction *action, struct sigaction *old) {
  int (*real)(int, const struct sigaction *, struct sigaction *) = dlsym(RTLD_NEXT, "sigaction");
  return real(signal_number, action, old);
}

// Programs that watch for SIGSEGV themselves, as Node does, come after us.
int sigaction(int signal_number, const struct sigaction *action, struct sigaction *old) {
  if (signal_number != SIGSEGV) return set_action(signal_number, action, old);
  if (old) *old = next_action;
  if (action) next_action = *action;
  return 0;
}

__attribute__((constructor)) static void start(void) {
  const char *mask = getenv("CPU_MASK");
  if (!mask) return;
  hide(AMX);
  if (strcmp(mask, "vnni")) hide(VNNI);
  if (!strcmp(mask, "avx2")) hide(AVX512);
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
  if (set_action(SIGSEGV, &action, NULL) || let_cpuid(0)) {
    perror("CPUID cannot be trapped here");
    _exit(1);
  }
}
